// SPDX-License-Identifier: Apache-2.0

import Addressing
import DERP
import Disco
import HostIO
import Logging
import Magicsock
import PacketPipeline

/// This node as a peer relay: runs its thread while that is asked for, and tells it what it must know.
actor PeerRelayService {
  private struct Running {
    var settings: PeerRelaySettings
    var mailbox: PeerRelayMailbox
    var thread: DataThread
  }

  private let mark: UInt32
  private let answer: @Sendable (RelayAllocation, RelayRequest) -> Void
  private let report: AsyncStream<DataPlaneEvent>.Continuation
  private let logger: Logger
  private var running: Running?
  private var addresses: [IPAddress] = []
  private var relayMap = RelayMap()
  private var servers: [Endpoint] = []
  /// What is in the way, as it was told last.
  private var problem: String?

  init(
    mark: UInt32,
    report: AsyncStream<DataPlaneEvent>.Continuation,
    logger: Logger,
    answer: @escaping @Sendable (RelayAllocation, RelayRequest) -> Void
  ) {
    (self.mark, self.report, self.logger, self.answer) = (mark, report, logger, answer)
  }

  /// Makes the relay what is asked for; nil for none.
  func apply(_ settings: PeerRelaySettings?, _ relayMap: RelayMap) async {
    if settings?.port != running?.settings.port { stop() }
    guard let settings else {
      tell(nil)
      return
    }
    if running == nil { begin(settings) }
    let isAttachedAnew = running?.settings != settings || relayMap != self.relayMap
    running?.settings = settings
    if relayMap != self.relayMap || servers.isEmpty {
      self.relayMap = relayMap
      attach()
      servers = await Self.servers(of: relayMap)
      attach()
    } else if isAttachedAnew {
      attach()
    }
  }

  /// Takes the addresses of the host's interfaces.
  func networkChanged(_ addresses: [IPAddress]) {
    self.addresses = addresses
    attach()
  }

  /// Gives somebody a network, or says nothing where there is none to be had.
  func allocate(_ request: RelayRequest) { running?.mailbox.post(.allocate(request)) }

  /// What it did and knows; nil when there is no relay.
  func status() async -> PeerRelayStatus? {
    guard let mailbox = running?.mailbox else { return nil }
    return await withCheckedContinuation { continuation in
      if !mailbox.post(.status(continuation)) { continuation.resume(returning: nil) }
    }
  }

  /// Ends it.
  func stop() {
    guard let running = running.take() else { return }
    running.mailbox.post(.stop)
    logger.info("no longer a peer relay")
  }

  private func begin(_ settings: PeerRelaySettings) {
    do throws(HostError) {
      let mailbox = try PeerRelayMailbox()
      var loop: PeerRelayThread? = try PeerRelayThread(
        try PeerRelaySockets.open(port: settings.port, mark: mark),
        mailbox: mailbox,
        answer: answer
      )
      let port = loop?.port ?? settings.port
      let thread = try DataThread(name: "peer-relay") {
        if var thread = loop.take() { thread.run() }
        mailbox.close()
      }
      running = Running(settings: settings, mailbox: mailbox, thread: thread)
      logger.info("a peer relay", metadata: ["port": "\(port)"])
      tell(nil)
      attach()
    } catch {
      tell("the peer relay cannot listen on UDP port \(settings.port): \(error)")
    }
  }

  private func tell(_ problem: String?) {
    guard problem != self.problem else { return }
    self.problem = problem
    report.yield(.peerRelayTrouble(problem))
  }

  private func attach() {
    guard let running else { return }
    running.mailbox.post(
      .attach(
        addresses: addresses,
        explicit: running.settings.staticEndpoints,
        servers: servers
      )
    )
  }

  /// How many STUN servers are asked.
  private static let maximumServers = 3

  /// STUN servers of different regions, by address.
  private static func servers(of map: RelayMap) async -> [Endpoint] {
    var found: [Endpoint] = []
    for region in map.regions.sorted(by: { $0.key < $1.key }).map(\.value) {
      guard found.count < maximumServers else { break }
      guard let node = region.nodes.first(where: { (0...65_535).contains($0.stunPort) }) else {
        continue
      }
      let port = node.stunPort == 0 ? 3478 : UInt16(node.stunPort)
      let literal = [node.stunTestIP, node.ipv4].lazy.compactMap { IPAddress($0) }.first
      if let literal {
        found.append(Endpoint(literal, port: port))
      } else if let address = await NameResolver.addresses(of: node.hostName).first(where: \.isV4) {
        found.append(Endpoint(address, port: port))
      }
    }
    return found
  }
}
