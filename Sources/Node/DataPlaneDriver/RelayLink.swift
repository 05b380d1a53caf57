// SPDX-License-Identifier: Apache-2.0

import Addressing
import Cryptography
import DERP
import HTTPTransport
import HostIO
import Keys
import Logging
import Timing

/// Our connection to the relay of one region: kept up while it is our home or in use.
///
/// Owns a `DERP.ClientSession` and does what it asks. What waits in the outbox is written in bulk;
/// what arrives goes to the data thread, as many packets at a time as the stream brought.
actor RelayLink {
  /// How a connection, or the attempt at one, ended.
  enum Ending: Sendable {
    /// Nobody used it for a while.
    case idle
    /// It was no longer wanted.
    case cancelled
    /// It broke.
    case failed(String)
    /// The relay goes away for a moment.
    case restarting(Duration)
  }

  /// How long a region that is not our home is kept without being used.
  static let idleTimeout = Duration.seconds(60)
  private static let checkInterval = Duration.seconds(15)
  /// How long one address of a relay may take.
  private static let dialTimeout = Duration.seconds(5)
  /// How long a relay may take to answer when the network has changed.
  private static let probeTimeout = Duration.seconds(3)
  private static let restartMaximum = Duration.seconds(30)

  private let region: RelayRegion
  private let nodeKey: NodePrivateKey
  private let dialer: Dialer
  private let outbox: RelayOutbox
  private let post: PostOffice
  private let report: AsyncStream<DataPlaneEvent>.Continuation
  private let logger: Logger
  private var isHome: Bool
  private var session: ClientSession?
  private var stream: ByteStream?
  private var isUp = false
  private var isToldDown = false
  /// How long to wait before the next attempt; outlives the link, so that a dead relay that many
  /// packets want is not dialled for each.
  private(set) var backoff: Backoff
  private var entropy = Entropy.system
  private var lastPong: UInt64 = 0
  private var restart: Duration?
  /// The wait before the next attempt.
  private var resting: Task<Void, Never>?

  init(
    _ region: RelayRegion,
    nodeKey: NodePrivateKey,
    dialer: Dialer,
    isHome: Bool,
    backoff: Backoff,
    outbox: RelayOutbox,
    post: PostOffice,
    report: AsyncStream<DataPlaneEvent>.Continuation,
    logger: Logger
  ) {
    (self.region, self.nodeKey, self.isHome) = (region, nodeKey, isHome)
    (self.dialer, self.backoff) = (dialer, backoff)
    (self.outbox, self.post, self.report) = (outbox, post, report)
    self.logger = logger
  }

  /// Connects, and connects again, until nobody wants the region or the task is cancelled.
  func run() async {
    if backoff.failures > 0 { await pause(backoff.next(using: &entropy)) }
    while !Task.isCancelled {
      let used = outbox.used
      switch await connectOnce() {
      case .idle, .cancelled: return
      case .restarting(let rest): await pause(rest)
      case .failed(let why):
        logger.debug("relay failed", metadata: ["region": "\(region.id)", "reason": "\(why)"])
        let wait = backoff.next(using: &entropy)
        noteDown(because: why)
        guard isHome || outbox.used != used else { return }
        await pause(wait)
      }
    }
  }

  /// Waits, until there is reason to hurry or the task is cancelled.
  private func pause(_ duration: Duration) async {
    // A wait that is cut short is no failure: the caller looks whether it was cancelled.
    let wait = Task { _ = try? await Task.sleep(for: duration) }
    resting = wait
    await withTaskCancellationHandler {
      await wait.value
    } onCancel: {
      wait.cancel()
    }
    resting = nil
  }

  /// Tells the relay whether it is our home now.
  func setHome(_ isHome: Bool) async {
    self.isHome = isHome
    var effects = ClientSession.Effects()
    session?.notePreferred(isHome, into: &effects)
    await send(effects.output)
  }

  /// Finds out whether the connection survived a change of the network; cuts it if not.
  ///
  /// Without a connection the next attempt begins at once.
  func probe(_ addresses: [IPAddress]) async {
    backoff.reset()
    resting?.cancel()
    guard let stream, isUp else { return }
    if let local = stream.localEndpoint?.address.unmapped, !local.isLoopback,
      !addresses.contains(local)
    {
      return stream.abort()
    }
    let token = entropy.next()
    var effects = ClientSession.Effects()
    session?.ping(token, into: &effects)
    await send(effects.output)
    do { try await Task.sleep(for: Self.probeTimeout) } catch { return }
    if lastPong != token { stream.abort() }
  }

  // MARK: One connection

  private func connectOnce() async -> Ending {
    restart = nil
    do {
      let stream = try await open()
      let ending = await serve(stream)
      stream.abort()
      wentDown(ending)
      return ending
    } catch is CancellationError {
      return .cancelled
    } catch {
      return .failed("\(error)")
    }
  }

  /// Dials the nodes of the region in order, and says who we are.
  private func open() async throws -> ByteStream {
    var failure: any Error = HTTPTransportError(.unreachable, "the region has no relay")
    for node in region.nodes where !node.stunOnly {
      do {
        return try await open(node)
      } catch let error as CancellationError {
        throw error
      } catch {
        failure = error
      }
    }
    throw failure
  }

  private func open(_ node: RelayNode) async throws -> ByteStream {
    let stream = try await node.dial(dialer, timeout: Self.dialTimeout)
    do {
      let serverKey = FastStart.serverKey(inCertificates: stream.peerCertificates)
      var headers: HTTPHeaders = [:]
      if let first = region.nodes.first, first.name != node.name {
        headers.add("Ideal-Node", first.name)
      }
      if serverKey == nil {
        _ = try await HTTPClient.upgrade(
          stream,
          host: node.hostField,
          path: "/derp",
          headers: headers,
          protocol: "DERP",
          timeout: Self.dialTimeout
        )
      }
      var effects = ClientSession.Effects()
      session = ClientSession(
        privateKey: nodeKey,
        serverKey: serverKey,
        isHome: isHome,
        entropy: entropy,
        at: MonotonicClock.now(),
        into: &effects
      )
      let request = serverKey == nil ? [] : Self.fastStartRequest(node, headers)
      try await stream.write(request + effects.output)
      return stream
    } catch {
      stream.abort()
      throw error
    }
  }

  /// The request that is not answered: frames follow at once.
  private static func fastStartRequest(_ node: RelayNode, _ headers: HTTPHeaders) -> [UInt8] {
    let more = headers.fields.map { "\($0.name): \($0.value)\r\n" }.joined()
    let head =
      "GET /derp HTTP/1.1\r\nHost: \(node.hostField)\r\nUpgrade: DERP\r\nConnection: Upgrade\r\n"
      + "\(FastStart.header): 1\r\n\(more)\r\n"
    return Array(head.utf8)
  }

  /// Reads, writes and watches until one of them ends.
  private func serve(_ stream: ByteStream) async -> Ending {
    self.stream = stream
    return await withTaskGroup(of: Ending.self) { group in
      group.addTask { await self.read(stream) }
      group.addTask { await self.watch() }
      group.addTask { await self.write(to: stream) }
      let ending = await group.next() ?? .cancelled
      group.cancelAll()
      stream.abort()
      return Task.isCancelled ? .cancelled : ending
    }
  }

  private func wentDown(_ ending: Ending) {
    (stream, session) = (nil, nil)
    guard isUp else { return }
    isUp = false
    if case .failed(let why) = ending {
      post.post(.relayClosed(region.id, failed: true))
      noteDown(because: why)
    } else {
      post.post(.relayClosed(region.id, failed: false))
      noteDown(because: nil)
    }
  }

  /// Tells that there is no connection, once until there is one.
  private func noteDown(because why: String?) {
    guard !isToldDown else { return }
    isToldDown = true
    report.yield(.relayDown(region.id, because: why))
  }

  // MARK: Reading

  private func read(_ stream: ByteStream) async -> Ending {
    do {
      while let bytes = try await stream.read() {
        let output = try receive(bytes)
        if !output.isEmpty { try await stream.write(output) }
        if let restart { return .restarting(min(restart, Self.restartMaximum)) }
      }
      return .failed("the relay closed the connection")
    } catch {
      return .failed("\(error)")
    }
  }

  /// Takes what the relay sent and returns what to answer.
  private func receive(_ bytes: [UInt8]) throws -> [UInt8] {
    guard session != nil else { return [] }
    var effects = ClientSession.Effects()
    try session?.receive(bytes, at: MonotonicClock.now(), into: &effects)
    var packets: [RelayedPacket] = []
    for event in effects.events {
      if case .packet(let source, let packet) = event {
        packets.append(RelayedPacket(source: source, bytes: packet))
      } else {
        handle(event)
      }
    }
    post.post(packets.isEmpty ? .relayHeard(region.id) : .relayed(packets, from: region.id))
    return effects.output
  }

  private func handle(_ event: ClientSession.Event) {
    switch event {
    case .connected:
      (isUp, isToldDown) = (true, false)
      backoff.reset()
      post.post(.relayConnected(region.id))
      report.yield(.relayUp(region.id))
      wakeWriter()
    case .peerGone(let key, _): post.post(.peerGone(key, from: region.id))
    case .health(let text): report.yield(.relayHealth(region.id, text))
    case .pong(let token): lastPong = token
    case .restarting(let reconnectIn, _): restart = reconnectIn
    case .packet: preconditionFailure("packets are collected, not handled")
    }
  }

  // MARK: Writing

  private var writer: CheckedContinuation<Void, Never>?

  private func wakeWriter() {
    writer?.resume()
    writer = nil
  }

  /// Waits until the relay has admitted us: before, packets would be refused.
  private func waitUntilUp() async {
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        guard !isUp, !Task.isCancelled else { return continuation.resume() }
        writer = continuation
      }
    } onCancel: {
      Task { await self.wakeWriter() }
    }
  }

  private func write(to stream: ByteStream) async -> Ending {
    await waitUntilUp()
    do {
      while !Task.isCancelled {
        let trains = await outbox.take()
        let output = frames(for: trains)
        if !output.isEmpty { try await stream.write(output) }
      }
      return .cancelled
    } catch {
      return .failed("\(error)")
    }
  }

  private func frames(for trains: [RelayTrain]) -> [UInt8] {
    let now = MonotonicClock.now()
    var effects = ClientSession.Effects()
    var dropped: UInt64 = 0
    for train in trains {
      guard now - train.queuedAt <= RelayOutbox.patience else {
        dropped += train.count
        continue
      }
      var start = 0
      while start < train.bytes.count {
        let end = min(start + train.segmentSize, train.bytes.count)
        let datagram = train.bytes[start..<end]
        let sending = session?.send(datagram, to: train.destination, at: now, into: &effects)
        if sending != .sent { dropped += 1 }
        start = end
      }
    }
    if dropped > 0 { outbox.noteDropped(dropped) }
    return effects.output
  }

  /// Sends a few bytes besides; if the connection is broken its reader says so.
  private func send(_ bytes: [UInt8]) async {
    guard let stream, !bytes.isEmpty else { return }
    try? await stream.write(bytes)
  }

  // MARK: Watching

  /// Returns when the relay is silent for too long, or when nobody uses it.
  private func watch() async -> Ending {
    var used = outbox.used
    var lastUse = MonotonicClock.now()
    while true {
      do { try await Task.sleep(for: Self.checkInterval) } catch { return .cancelled }
      let now = MonotonicClock.now()
      do { try session?.handleTimeouts(at: now) } catch { return .failed("\(error)") }
      if outbox.used != used || isHome { (used, lastUse) = (outbox.used, now) }
      if now - lastUse >= Self.idleTimeout { return .idle }
    }
  }
}
