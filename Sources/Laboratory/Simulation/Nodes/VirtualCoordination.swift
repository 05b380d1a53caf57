// SPDX-License-Identifier: Apache-2.0

import ControlProtocol
import ControlSession
import Coordination
import Cryptography
import Keys
import Timing

/// The coordination server: the real network state, and the map streams that its driver would have.
final class VirtualCoordination {
  /// A map stream.
  struct Stream {
    var node: NodeID
    /// Up to which change it was told.
    var position: Int64
  }

  let host: HostID
  var tailnet: Tailnet
  var streams: [ConnectionID: Stream] = [:]
  private var entropy: Entropy
  /// The machines that used the key: none may use it twice.
  private var admitted: Set<MachineKey> = []
  private let key: String

  init(host: HostID, relayMap: DERPMap, seed: UInt64, at now: Coordination.Moment) {
    var entropy = Entropy(seed: seed)
    self.host = host
    var options = TailnetOptions(url: "http://192.0.2.1")
    options.relayMap = relayMap
    tailnet = Tailnet(options: options, at: now)
    var effects = Coordination.Effects()
    do throws(Refusal) {
      let user = try tailnet.createUser(name: "sim", by: "simulation", at: now, into: &effects)
      let (_, secret) = try tailnet.createKey(
        user: user.id,
        isReusable: true,
        expiry: nil,
        by: "simulation",
        at: now,
        using: &entropy,
        into: &effects
      )
      key = secret.text
    } catch {
      preconditionFailure("an empty network takes a user and a key: \(error)")
    }
    self.entropy = entropy
  }

  /// Lets everybody talk to everybody, and ask everybody to carry packets.
  func allowPeerRelays(at now: Coordination.Moment) {
    var effects = Coordination.Effects()
    let policy = """
      {"grants": [
        {"src": ["*"], "dst": ["*"], "ip": ["*"]},
        {"src": ["*"], "dst": ["*"], "app": {"tailscale.com/cap/relay": [{}]}},
      ]}
      """
    do throws(Refusal) {
      _ = try tailnet.setPolicy(policy, by: "simulation", at: now, into: &effects)
    } catch {
      preconditionFailure("a policy that was written here is taken: \(error)")
    }
  }

  /// Lets a node in that opens a map stream, and says everything; nil when it is refused.
  func open(
    _ connection: ConnectionID,
    _ report: NodeReport,
    of machine: MachineKey,
    at now: Coordination.Moment
  ) -> MapResponse? {
    var effects = Coordination.Effects()
    let request = RegisterRequest(
      version: CapabilityVersion.current,
      nodeKey: report.nodeKey,
      auth: admitted.insert(machine).inserted ? RegisterAuth(authKey: key) : nil,
      hostinfo: report.hostinfo
    )
    let outcome = tailnet.register(
      request,
      from: machine,
      at: now,
      using: &entropy,
      into: &effects
    )
    guard case .answer(let answer) = outcome, answer.machineAuthorized else { return nil }
    let told = tailnet.update(by: report.streamRequest(), from: machine, at: now, into: &effects)
    guard case .accepted(let node) = told else { return nil }
    tailnet.connected(node, at: now, into: &effects)
    tailnet.refreshAccess(at: now, into: &effects)
    streams[connection] = Stream(node: node, position: tailnet.changes.head)
    return MapBuilder(tailnet).full(for: node, at: now)
  }

  /// Takes what a node tells of itself.
  func take(_ report: NodeReport, of machine: MachineKey, at now: Coordination.Moment) {
    var effects = Coordination.Effects()
    _ = tailnet.update(by: report.updateRequest(), from: machine, at: now, into: &effects)
    tailnet.refreshAccess(at: now, into: &effects)
  }

  func close(_ connection: ConnectionID, at now: Coordination.Moment) {
    guard let stream = streams.removeValue(forKey: connection) else { return }
    tailnet.disconnected(stream.node, at: now)
  }

  /// Does what is due.
  func tick(at now: Coordination.Moment) {
    var effects = Coordination.Effects()
    tailnet.handleTimeouts(at: now, into: &effects)
    tailnet.refreshAccess(at: now, into: &effects)
  }

  /// What the streams are to be told now.
  func news(at now: Coordination.Moment) -> [(ConnectionID, MapResponse)] {
    let head = tailnet.changes.head
    let builder = MapBuilder(tailnet)
    var news: [(ConnectionID, MapResponse)] = []
    for (connection, stream) in streams.sorted(by: { $0.key < $1.key }) where stream.position < head
    {
      streams[connection]?.position = head
      guard let changes = tailnet.changes.changes(after: stream.position, through: head) else {
        if let all = builder.full(for: stream.node, at: now) { news.append((connection, all)) }
        continue
      }
      switch builder.delta(ChangeSummary(changes), for: stream.node, at: now) {
      case .nothing: break
      case .own(let response), .shared(let response): news.append((connection, response))
      }
    }
    return news
  }

  /// Ends the key of a node, or removes it.
  func remove(_ key: NodeKey, at now: Coordination.Moment) {
    guard let node = tailnet.node(with: key) else { return }
    var effects = Coordination.Effects()
    do throws(Refusal) {
      try tailnet.deleteNode(node.id, by: "simulation", at: now, into: &effects)
      tailnet.refreshAccess(at: now, into: &effects)
    } catch {
      preconditionFailure("a node that is there can be removed: \(error)")
    }
  }
}
