// SPDX-License-Identifier: Apache-2.0

import Addressing
import ControlProtocol
import ControlSession
import Cryptography
import DERP
import Keys
import LocalAPI
import Magicsock
import Netmap
import PacketPipeline
import PeerRelay
import PortMapping
import Timing

/// One node: the real cores, and the state that its drivers would have.
final class VirtualNode {
  /// What a node did that costs something.
  struct Economy: Hashable, Sendable {
    /// How often a timer woke it.
    var wakeups = 0
    /// Discovery messages that it sent.
    var discoveryMessages = 0
    /// Handshake initiations that it sent.
    var handshakes = 0
    /// Requests to STUN servers.
    var stunRequests = 0
    /// How often the part that asks for ports was woken.
    var mapperWakeups = 0
    /// Messages to its router.
    var mapperMessages = 0
    /// Bytes that it sent through relays.
    var relayedBytes = 0
    /// Bytes that it sent directly.
    var directBytes = 0
    /// Bytes that it carried for others.
    var carriedBytes = 0

    static func - (left: Economy, right: Economy) -> Economy {
      Economy(
        wakeups: left.wakeups - right.wakeups,
        discoveryMessages: left.discoveryMessages - right.discoveryMessages,
        handshakes: left.handshakes - right.handshakes,
        stunRequests: left.stunRequests - right.stunRequests,
        mapperWakeups: left.mapperWakeups - right.mapperWakeups,
        mapperMessages: left.mapperMessages - right.mapperMessages,
        relayedBytes: left.relayedBytes - right.relayedBytes,
        directBytes: left.directBytes - right.directBytes,
        carriedBytes: left.carriedBytes - right.carriedBytes
      )
    }
  }

  /// Its connection to one relay region.
  struct RelayLink {
    var connection: ConnectionID?
    var session: ClientSession?
    var isUp = false
    var lastUse: Instant
    var backoff = Backoff(ceiling: .seconds(5))
    /// What waits until it is up.
    var waiting: [(destination: NodeKey, packet: [UInt8])] = []

    /// How many packets wait at most; the oldest falls off.
    static let maximumWaiting = 32
  }

  /// How it stands with the coordination server.
  struct ControlLink {
    var connection: ConnectionID?
    /// Since when its map is kept up to date.
    var connectedSince: Instant?
    var isConnected: Bool { connectedSince != nil }
    var backoff = Backoff(ceiling: .seconds(30))
    var lastReport: NodeReport?
  }

  static let port: UInt16 = 41_641
  static let relayPort: UInt16 = 40_000

  let index: Int
  let host: HostID
  let machineKey: MachineKey
  let nodeKey: NodePrivateKey
  let discoKey: DiscoPrivateKey
  var pipeline: Pipeline
  var effects = PipelineEffects()
  var entropy: Entropy
  var netmap = NetworkMap()
  var preferences = Preferences()
  var endpoints: [OwnEndpoint] = []
  var report: Magicsock.NetcheckReport?
  var home: RegionID?
  var relays: [RegionID: RelayLink] = [:]
  var control = ControlLink()
  /// How far its wall clock is off.
  var wallOffset = Duration.zero
  var isAsleep = false
  /// What it carries for others, if it does.
  var relay: PeerRelayServer?
  /// When it is woken next.
  var wakeAt: Instant?
  /// What asks its router for a port.
  var mapper: PortMapper
  /// When that is woken next.
  var mapperWakeAt: Instant?
  var economy = Economy()

  init(index: Int, host: HostID, seed: UInt64) {
    var entropy = Entropy(seed: seed)
    (self.index, self.host) = (index, host)
    machineKey = MachinePrivateKey.generate(using: &entropy).publicKey
    nodeKey = NodePrivateKey.generate(using: &entropy)
    discoKey = DiscoPrivateKey.generate(using: &entropy)
    pipeline = Pipeline(
      nodeKey: nodeKey,
      discoKey: discoKey,
      mtu: 1280,
      joinsUDP: true,
      entropy: Entropy(seed: entropy.next())
    )
    // A sequence of its own, so that it does not disturb what the seed means for the rest.
    mapper = PortMapper(allowed: [.pcp, .pmp], entropy: Entropy(seed: seed ^ 0x9A99_E4))
    self.entropy = entropy
  }

  /// Its addresses in the network; empty until it was let in.
  var addresses: [IPAddress] { netmap.selfNode?.addresses.map(\.address) ?? [] }

  /// Its number in the network.
  var peerID: PeerID? { netmap.selfNode.map { PeerID($0.id) } }

  /// What it tells the coordination server of itself.
  func makeReport() -> NodeReport {
    var hostinfo = Hostinfo()
    hostinfo.hostname = "node\(index)"
    hostinfo.os = "linux"
    var info = NetInfo()
    info.preferredDERP = home?.rawValue ?? 0
    info.workingUDP = report?.udp
    info.mappingVariesByDestIP = report?.mappingVariesByDestination
    hostinfo.netInfo = info
    return NodeReport(
      nodeKey: nodeKey.publicKey,
      discoKey: discoKey.publicKey,
      hostinfo: hostinfo,
      endpoints: endpoints.map {
        ReportedEndpoint($0.endpoint, ReportedEndpoint.Kind(rawValue: $0.kind.rawValue) ?? .unknown)
      }
    )
  }
}
