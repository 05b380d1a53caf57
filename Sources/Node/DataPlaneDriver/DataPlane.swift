// SPDX-License-Identifier: Apache-2.0

package import Addressing
import HTTPTransport
package import HostIO
package import Keys
package import Logging
package import Magicsock
package import PacketPipeline
import Synchronization
import Timing

/// The data plane of a running node: its threads, its relay connections and its probes.
///
/// The rest of the node tells it what should be true (`apply`, `networkChanged`), asks it (`status`,
/// `ping`, `netcheck`) and listens to `events`. Nothing here waits for packets.
package final class DataPlane: Sendable {
  /// How many events may wait to be read; then the oldest fall off.
  private static let maximumEvents = 1024

  private struct State {
    var isStarted = false
    var tasks: [Task<Void, Never>] = []
  }

  /// What happens, for one reader.
  package let events: AsyncStream<DataPlaneEvent>
  /// The name of the TUN interface, as the kernel gave it.
  package let interfaceName: String
  /// The UDP port in use.
  package let port: UInt16
  /// Whether another port was taken than the one that was asked for.
  package let isPortSubstituted: Bool

  private let options: DataPlaneOptions
  private let devices: SharedDevices
  let shards: Shards
  private let placement: Placement?
  /// What each shard was told last.
  private let told: Mutex<[ToldConfiguration]>
  private let relays: RelayConnections
  private let outboxes = RelayOutboxes()
  private let probes: ProbeRunner
  private let peerRelay: PeerRelayService
  private let questions = Questions()
  private let report: AsyncStream<DataPlaneEvent>.Continuation
  private let state = Mutex(State())
  private let logger: Logger

  /// Opens the interface and the sockets; nothing runs yet.
  ///
  /// - Throws: `HostError` that says what is in the way and what to do.
  package init(_ options: DataPlaneOptions, logger: Logger) throws(HostError) {
    devices = try SharedDevices(options)
    shards = try Shards(count: options.shards)
    (interfaceName, port) = devices.withFirst { ($0.tun.name, $0.v4.localEndpoint.port) }
    isPortSubstituted = options.port != 0 && port != options.port
    told = Mutex([ToldConfiguration](repeating: ToldConfiguration(), count: options.shards))
    placement =
      options.shards > 1
      ? Placement(count: options.shards, shards.directory, devices.takeSteering()) : nil
    (events, report) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(Self.maximumEvents))
    let dialer = Dialer(mark: options.mark, proxies: options.proxies)
    relays = RelayConnections(
      nodeKey: options.nodeKey,
      dialer: dialer,
      outboxes: outboxes,
      post: shards.post,
      report: report,
      logger: logger
    )
    probes = ProbeRunner(post: shards.post, mark: options.mark, dialer: dialer)
    peerRelay = PeerRelayService(mark: options.mark, report: report, logger: logger) {
      [post = shards.post] in post.post(.relayAllocated($0, for: $1))
    }
    (self.options, self.logger) = (options, logger)
  }

  deinit {
    shards.post.post(.stop)
    for task in state.withLock({ $0.tasks }) { task.cancel() }
  }

  /// Starts the threads, the relay connections and the probes; once.
  package func start() throws(HostError) {
    try startThreads()
    let (relays, probes, outboxes) = (relays, probes, outboxes)
    state.withLock { state in
      precondition(!state.isStarted, "a data plane is started once")
      state.isStarted = true
      state.tasks = [
        Task { await relays.run(outboxes.wants) },
        Task { await probes.run() },
      ]
    }
  }

  private func startThreads() throws(HostError) {
    let ways = DataPlaneThread.Ways(
      relays: outboxes,
      post: shards.post,
      report: { [shards, questions, probes, relays, peerRelay, report] event in
        if case .relayRequested(let request) = event {
          // They are few: each was admitted by a bucket of its peer.
          Task { await peerRelay.allocate(request) }
          return
        }
        Self.dispatch(event, shards, questions, probes, relays, report)
      },
      interfaceLost: { [report] in report.yield(.interfaceLost($0)) }
    )
    let questions = questions
    try shards.start(devices, options, named: interfaceName, ways) { questions.close() }
  }

  // MARK: What should be true

  /// Makes `configuration` true.
  ///
  /// What has changed is worked out here: the threads are told that only.
  package func apply(_ configuration: PipelineConfiguration) async {
    told.withLock { told in
      guard let placement else {
        let change = told[0].change(to: configuration)
        shards.post.post(.apply(change, routes: nil), to: 0)
        return
      }
      let (parts, routes) = placement.divide(configuration)
      for (shard, part) in parts.enumerated() {
        shards.post.post(.apply(told[shard].change(to: part), routes: routes), to: shard)
      }
    }
    await relays.apply(configuration.relayMap, nodeKey: configuration.nodeKey)
    await peerRelay.apply(configuration.peerRelay, configuration.relayMap)
  }

  /// Takes note of how the host is attached to the network now; call it at the start, too.
  ///
  /// - Parameters:
  ///   - addresses: The addresses of all interfaces that are up, our own included.
  ///   - isMajor: Whether paths are void: another default route or address, or a long sleep.
  ///   - isUp: Whether any link is up.
  package func networkChanged(addresses: [IPAddress], isMajor: Bool, isUp: Bool = true) async {
    shards.post.post(.networkChanged(addresses: addresses, isMajor: isMajor, isUp: isUp))
    if isMajor { await relays.networkChanged(addresses, isUp: isUp) }
    await peerRelay.networkChanged(addresses)
  }

  /// Takes note of the endpoint that the gateway forwards to us; nil for none.
  package func portMapped(to endpoint: Endpoint?) { shards.post.post(.portMapped(endpoint)) }

  // MARK: Questions

  /// What it did and knows now; nil once it has stopped.
  package func status() async -> DataPlaneStatus? { await shards.status() }

  /// What this node's peer relay did and knows; nil when there is none.
  package func peerRelayStatus() async -> PeerRelayStatus? { await peerRelay.status() }

  /// Goes by another discovery key from now on.
  package func use(_ key: DiscoPrivateKey) { shards.post.post(.discoKey(key)) }

  /// Pings a peer.
  ///
  /// - Parameters:
  ///   - peer: Whom.
  ///   - kind: How.
  ///   - size: How many bytes; 0 for the least.
  ///   - timeout: How long to wait for the answer.
  /// - Returns: The answer, or why there is none.
  package func ping(
    _ peer: PeerID,
    _ kind: PingKind,
    size: Int = 0,
    timeout: Duration = .seconds(5)
  ) async -> Result<PingReply, PingFailure> {
    await questions.ping(timeout: timeout) { [shards] id in
      shards.post.post(.ping(peer, kind, id: id, size: size))
    }
  }

  /// Looks at the network anew and tells what was found; nil when that takes too long.
  package func netcheck(timeout: Duration = .seconds(15)) async -> NetcheckReport? {
    await questions.netcheck(timeout: timeout) { [shards] in
      shards.post.post(.netcheck(isFull: true))
    }
  }

  // MARK: The end

  /// Ends everything; the interface goes away with it.
  package func shutdown() async {
    let tasks = state.withLock(\.tasks)
    for task in tasks { task.cancel() }
    await relays.shutdown()
    await peerRelay.stop()
    for task in tasks { await task.value }
    shards.post.post(.stop)
    await withCheckedContinuation { continuation in
      // Joining blocks, which a task must not do; the threads end within one turn of their loops.
      // Where there is no thread to be had for it nobody waits: they end all the same.
      let joiner = try? DataThread(name: "martlet-join") { [shards] in
        shards.join()
        continuation.resume()
      }
      if joiner == nil { continuation.resume() }
    }
    // Those of a data plane that was never started are still here.
    devices.close()
    report.finish()
  }

  /// Sends an event of a pipeline to those whom it concerns; called on its data thread.
  private static func dispatch(
    _ event: PipelineEvent,
    _ shards: Shards,
    _ questions: Questions,
    _ probes: ProbeRunner,
    _ relays: RelayConnections,
    _ report: AsyncStream<DataPlaneEvent>.Continuation
  ) {
    switch event {
    case .pong(let reply): questions.answer(reply.id, .success(reply))
    case .pingFailed(let id, _, let reason): questions.answer(id, .failure(reason))
    case .sessionEstablished(let peer): report.yield(.sessionEstablished(peer))
    case .rejected(let reject, let peer): report.yield(.rejected(reject, by: peer))
    case .endpointsChanged(let endpoints): report.yield(.endpointsChanged(endpoints))
    case .homeRelayChanged(let region):
      relays.homes.yield(region)
      report.yield(.homeRelayChanged(region))
    case .netcheckFinished(let result):
      questions.answer(result)
      report.yield(.netcheckFinished(result))
    case .httpsProbeWanted(let probe): probes.probe(probe)
    case .portalProbeWanted(let probe): probes.lookForPortal(probe)
    case .resolutionWanted(let name): probes.resolve(name)
    case .wanted(let want): shards.post.post(.wanted(want))
    case .endpointsFresh(let endpoints): shards.post.post(.endpointsFresh(endpoints))
    case .discoKeyLearned(let peer, let key): shards.directory.learn(key, of: peer)
    case .relayRequested: break
    case .pathTrace(let trace): report.yield(.pathTrace(trace))
    }
  }
}
