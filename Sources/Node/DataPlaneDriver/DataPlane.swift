// SPDX-License-Identifier: Apache-2.0

package import Addressing
package import HostIO
package import Keys
package import Logging
package import Magicsock
package import PacketPipeline
import Synchronization
import Timing

/// The data plane of a running node: its thread, its relay connections and its probes.
///
/// The rest of the node tells it what should be true (`apply`, `networkChanged`), asks it (`status`,
/// `ping`, `netcheck`) and listens to `events`. Nothing here waits for packets.
package final class DataPlane: Sendable {
  /// How many events may wait to be read; then the oldest fall off.
  private static let maximumEvents = 1024

  private struct State {
    var thread: DataThread?
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
  private let devices: Mutex<HostDevices?>
  private let mailbox: Mailbox
  private let wake: WakeSignal
  private let relays: RelayConnections
  private let outboxes = RelayOutboxes()
  private let probes: ProbeRunner
  private let questions = Questions()
  private let report: AsyncStream<DataPlaneEvent>.Continuation
  private let state = Mutex(State())
  private let logger: Logger

  /// Opens the interface and the sockets; nothing runs yet.
  ///
  /// - Throws: `HostError` that says what is in the way and what to do.
  package init(_ options: DataPlaneOptions, logger: Logger) throws(HostError) {
    let devices = try HostDevices.open(options)
    wake = try WakeSignal()
    mailbox = Mailbox(wake)
    interfaceName = devices.tun.name
    port = devices.v4.localEndpoint.port
    isPortSubstituted = options.port != 0 && devices.v4.localEndpoint.port != options.port
    (events, report) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(Self.maximumEvents))
    relays = RelayConnections(
      nodeKey: options.nodeKey,
      mark: options.mark,
      outboxes: outboxes,
      mailbox: mailbox,
      report: report,
      logger: logger
    )
    probes = ProbeRunner(mailbox: mailbox, mark: options.mark)
    self.devices = Mutex(devices)
    (self.options, self.logger) = (options, logger)
  }

  deinit {
    mailbox.post(.stop)
    for task in state.withLock({ $0.tasks }) { task.cancel() }
  }

  /// Starts the thread, the relay connections and the probes; once.
  package func start() throws(HostError) {
    let thread = try startThread()
    let (relays, probes, outboxes) = (relays, probes, outboxes)
    state.withLock { state in
      precondition(state.thread == nil, "a data plane is started once")
      state.thread = thread
      state.tasks = [
        Task { await relays.run(outboxes.wants) },
        Task { await probes.run() },
      ]
    }
  }

  private func startThread() throws(HostError) -> DataThread {
    guard let devices = devices.withLock({ $0.take() }) else {
      preconditionFailure("a data plane is started once")
    }
    let ways = DataPlaneThread.Ways(
      relays: outboxes,
      report: { [questions, probes, relays, report] in
        Self.dispatch($0, questions, probes, relays, report)
      },
      interfaceLost: { [report] in report.yield(.interfaceLost($0)) }
    )
    let loop = Mutex<DataPlaneThread?>(
      try DataPlaneThread(devices, options, mailbox: mailbox, wake: wake, ways: ways)
    )
    let (mailbox, questions) = (mailbox, questions)
    return try DataThread(name: "data-\(interfaceName)") {
      if var thread = loop.withLock({ $0.take() }) { thread.run() }
      for mail in mailbox.close() {
        if case .status(let continuation) = mail { continuation.resume(returning: nil) }
      }
      questions.close()
    }
  }

  // MARK: What should be true

  /// Makes `configuration` true.
  package func apply(_ configuration: PipelineConfiguration) async {
    mailbox.post(.apply(configuration))
    await relays.apply(configuration.relayMap, nodeKey: configuration.nodeKey)
  }

  /// Takes note of how the host is attached to the network now; call it at the start, too.
  ///
  /// - Parameters:
  ///   - addresses: The addresses of all interfaces that are up, our own included.
  ///   - isMajor: Whether paths are void: another default route or address, or a long sleep.
  ///   - isUp: Whether any link is up.
  package func networkChanged(addresses: [IPAddress], isMajor: Bool, isUp: Bool = true) async {
    mailbox.post(.networkChanged(addresses: addresses, isMajor: isMajor, isUp: isUp))
    if isMajor { await relays.networkChanged(addresses, isUp: isUp) }
  }

  // MARK: Questions

  /// What it did and knows now; nil once it has stopped.
  package func status() async -> DataPlaneStatus? {
    await withCheckedContinuation { continuation in
      if !mailbox.post(.status(continuation)) { continuation.resume(returning: nil) }
    }
  }

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
    await questions.ping(timeout: timeout) { [mailbox] id in
      mailbox.post(.ping(peer, kind, id: id, size: size))
    }
  }

  /// Looks at the network anew and tells what was found; nil when that takes too long.
  package func netcheck(timeout: Duration = .seconds(15)) async -> NetcheckReport? {
    await questions.netcheck(timeout: timeout) { [mailbox] in mailbox.post(.netcheck(isFull: true))
    }
  }

  // MARK: The end

  /// Ends everything; the interface goes away with it.
  package func shutdown() async {
    let (thread, tasks) = state.withLock { ($0.thread, $0.tasks) }
    for task in tasks { task.cancel() }
    await relays.shutdown()
    for task in tasks { await task.value }
    mailbox.post(.stop)
    await withCheckedContinuation { continuation in
      // Joining blocks, which a task must not do; the thread ends within one turn of its loop.
      let joiner = try? DataThread(name: "martlet-join") {
        thread?.join()
        continuation.resume()
      }
      if joiner == nil { continuation.resume() }
    }
    // Those of a data plane that was never started are still here.
    devices.withLock { $0 = nil }
    report.finish()
  }

  /// Sends an event of the pipeline to those whom it concerns; called on the data thread.
  private static func dispatch(
    _ event: PipelineEvent,
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
    case .resolutionWanted(let name): probes.resolve(name)
    case .pathTrace(let trace): report.yield(.pathTrace(trace))
    }
  }
}
