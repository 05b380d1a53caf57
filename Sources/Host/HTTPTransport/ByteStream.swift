// SPDX-License-Identifier: Apache-2.0

package import Addressing
import Cryptography
import NIOCore
import Synchronization

/// A connection that carries bytes both ways: TCP, TLS or a unix socket.
///
/// Both directions are bounded: nothing is read from the network while the buffer is full, and a
/// writer waits until there is room. Small writes that come together leave together. Close it when
/// done: it stays open as long as the other side keeps it so.
package final class ByteStream: Sendable {
  /// Reading pauses while this much waits to be read.
  static let inboundBound = 256 * 1024
  /// Writers wait while this much waits to be sent.
  static let outboundBound = 128 * 1024
  /// How long a close waits for what was written to leave.
  static let lingerTimeout = Duration.seconds(5)

  let channel: any ByteCarrier
  let state = Mutex(ByteStreamState())
  private let stallTimeout = Mutex<Duration?>(nil)

  /// Who is at the other end; nil on a unix socket.
  package let remoteEndpoint: Endpoint?
  /// Our end; nil on a unix socket.
  package let localEndpoint: Endpoint?
  /// The process at the other end of a unix socket; nil elsewhere.
  package let peerCredentials: PeerCredentials?
  /// Whether the stream is encrypted by TLS.
  package let isTLS: Bool

  init(channel: any Channel, isTLS: Bool, credentials: PeerCredentials?) {
    self.channel = ChannelCarrier(channel)
    self.isTLS = isTLS
    remoteEndpoint = channel.remoteAddress.flatMap(Endpoint.init)
    localEndpoint = channel.localAddress.flatMap(Endpoint.init)
    peerCredentials = credentials
  }

  init(carrier: any ByteCarrier, isTLS: Bool, from remote: Endpoint, to local: Endpoint?) {
    channel = carrier
    self.isTLS = isTLS
    (remoteEndpoint, localEndpoint, peerCredentials) = (remote, local, nil)
  }

  /// The SHA-256 of the other side's certificate in DER; nil without TLS, or when it showed none.
  package var peerCertificateSHA256: [UInt8]? { peerCertificates.first.map { SHA256.hash($0) } }

  /// The certificates in DER that the other side showed, its own first; unchecked ones included.
  ///
  /// Where the system's roots are asked, only the first is known.
  package var peerCertificates: [[UInt8]] { state.withLock { $0.peerCertificates } }

  /// The version of TLS, like `1.3`; nil without TLS, or before the handshake.
  package var tlsVersion: String? { state.withLock { $0.tlsVersion } }

  /// Whether the connection has ended.
  package var isClosed: Bool { state.withLock { $0.end != nil } }

  // MARK: Reading

  /// The next bytes, as many as there are; nil at the end of the stream.
  ///
  /// One reader at a time.
  package func read() async throws -> [UInt8]? {
    try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        let outcome = state.withLock { state -> Result<[UInt8]?, any Error>? in
          precondition(state.reader == nil, "a stream has one reader at a time")
          if !state.inbound.isEmpty {
            defer { state.inbound = [] }
            return .success(state.inbound)
          }
          if Task.isCancelled { return .failure(CancellationError()) }
          switch state.end {
          case .success: return .success(nil)
          case .failure(let error): return .failure(error)
          case nil:
            state.reader = continuation
            return nil
          }
        }
        if let outcome { continuation.resume(with: outcome) }
        resumeReading()
      }
    } onCancel: {
      takeReader()?.resume(throwing: CancellationError())
    }
  }

  /// Puts bytes back, to be read next.
  package func unread(_ bytes: [UInt8]) {
    guard !bytes.isEmpty else { return }
    state.withLock { state in
      precondition(state.reader == nil, "bytes are put back by the one who read them")
      state.inbound = bytes + state.inbound
    }
  }

  /// From now on hands every piece to `receive` on the event loop, without a task in between.
  ///
  /// For relaying in bulk. `receive` and `hasRoom` must be quick and must not wait; `hasRoom` tells
  /// that `offer` refused and would take more now. The end is told by `whenClosed`.
  package func consume(
    _ receive: @escaping @Sendable ([UInt8]) -> Void,
    hasRoom: @escaping @Sendable () -> Void
  ) {
    channel.execute { [self] in
      let early = state.withLock { state -> [UInt8] in
        precondition(state.reader == nil, "a stream has one reader at a time")
        state.consumer = ByteStreamState.Consumer(receive: receive, hasRoom: hasRoom)
        defer { state.inbound = [] }
        return state.inbound
      }
      if !early.isEmpty { receive(early) }
      // Somebody may have been refused before there was anyone to be told.
      hasRoom()
      resumeReading()
    }
  }

  /// Reads nothing more from the network for a while; what has come by then is handed on.
  package func pauseReading(for duration: Duration) {
    let end = NIODeadline.now() + TimeAmount(duration)
    state.withLock { $0.pausedUntil = max($0.pausedUntil ?? end, end) }
    channel.eventLoop.scheduleTask(deadline: end) { self.resumeReading() }
  }

  private func takeReader() -> ByteStreamState.Reader? {
    state.withLock { state in
      defer { state.reader = nil }
      return state.reader
    }
  }

  private func resumeReading() {
    let wasHeld = state.withLock { state in
      let isPaused = state.pausedUntil.map { $0 > .now() } ?? false
      guard state.isReadHeld, !isPaused, state.inbound.count < Self.inboundBound else {
        return false
      }
      state.isReadHeld = false
      return true
    }
    if wasHeld { channel.read() }
  }

  // MARK: Writing

  /// Accepts bytes for sending; waits while too much is under way already.
  ///
  /// Bytes of concurrent writers come one after the other, never mixed within one call.
  package func write(_ bytes: [UInt8]) async throws {
    while true {
      switch accept(bytes) {
      case .accepted: return
      case .ended(let error): throw error
      case .full: await waitForRoom()
      }
      try Task.checkCancellation()
    }
  }

  /// Accepts bytes for sending if there is room; never waits.
  ///
  /// - Returns: Whether they were taken. False when full or closed.
  package func offer(_ bytes: [UInt8]) -> Bool {
    if case .accepted = accept(bytes) { return true }
    return false
  }

  /// How many bytes were accepted and have not been handed to the kernel yet.
  package var outstandingBytes: Int { state.withLock { $0.outstanding } }

  private enum Acceptance {
    case accepted
    case full
    case ended(HTTPTransportError)
  }

  private func accept(_ bytes: [UInt8]) -> Acceptance {
    let (answer, mustFlush) = state.withLock { state -> (Acceptance, Bool) in
      if case .failure(let error) = state.end { return (.ended(error), false) }
      if state.end != nil || state.isClosing { return (.ended(.closed()), false) }
      guard state.outstanding < Self.outboundBound else {
        state.isRoomWanted = true
        return (.full, false)
      }
      guard !bytes.isEmpty else { return (.accepted, false) }
      state.outstanding += bytes.count
      state.outbound.writeBytes(bytes)
      defer { state.isFlushScheduled = true }
      return (.accepted, !state.isFlushScheduled)
    }
    if mustFlush { channel.flushSoon(self) }
    return answer
  }

  private func waitForRoom() async {
    await withCheckedContinuation { continuation in
      let isReady = state.withLock { state in
        guard state.end == nil, state.outstanding >= Self.outboundBound else { return true }
        state.roomWaiters.append(continuation)
        return false
      }
      if isReady { continuation.resume() }
    }
  }

  /// Hands everything accepted to the carrier, on its thread.
  func flush() {
    let bytes = state.withLock { state in
      state.isFlushScheduled = false
      defer { state.outbound = ByteBuffer() }
      return state.outbound
    }
    guard bytes.readableBytes > 0 else { return }
    channel.send(bytes, of: self)
    watchForStall()
  }

  /// So much of what was accepted has been handed to the kernel.
  func didWrite(_ count: Int) {
    let (waiters, tell) = state.withLock { state -> ([ByteStreamState.Waiter], Bool) in
      state.outstanding -= count
      state.progress &+= 1
      var waiters: [ByteStreamState.Waiter] = []
      if state.outstanding == 0 {
        waiters += state.drainWaiters
        state.drainWaiters = []
      }
      guard state.outstanding <= Self.outboundBound / 2 else { return (waiters, false) }
      waiters += state.roomWaiters
      state.roomWaiters = []
      let tell = state.isRoomWanted && state.consumer != nil && state.end == nil
      state.isRoomWanted = false
      return (waiters, tell)
    }
    for waiter in waiters { waiter.resume() }
    if tell { state.withLock { $0.consumer }?.hasRoom() }
  }

  // MARK: Time limits

  /// Cuts the connection when a write makes no progress for this long; nil for never.
  package func limitStalls(to timeout: Duration?) { stallTimeout.withLock { $0 = timeout } }

  private func watchForStall() {
    guard let timeout = stallTimeout.withLock({ $0 }) else { return }
    let progress = state.withLock { state -> Int? in
      guard state.outstanding > 0, !state.isStallTimerRunning, state.end == nil else { return nil }
      state.isStallTimerRunning = true
      return state.progress
    }
    guard let progress else { return }
    channel.eventLoop.scheduleTask(in: TimeAmount(timeout)) { [self] in
      let isStuck = state.withLock { state in
        state.isStallTimerRunning = false
        return state.outstanding > 0 && state.progress == progress
      }
      if isStuck {
        abort(because: HTTPTransportError(.timedOut, "the other side stopped reading"))
      } else {
        watchForStall()
      }
    }
  }

  /// A time limit on something that happens over a stream.
  package struct Deadline: Sendable {
    fileprivate let task: Scheduled<Void>
    /// It happened in time.
    package func cancel() { task.cancel() }
  }

  /// Cuts the connection after `duration` unless the deadline is cancelled before.
  package func abort(after duration: Duration, because what: String) -> Deadline {
    let error = HTTPTransportError(.timedOut, what)
    return Deadline(
      task: channel.eventLoop.scheduleTask(in: TimeAmount(duration)) { self.abort(because: error) }
    )
  }

  // MARK: Ending

  /// Whether it stays open when whoever serves it returns.
  var isKept: Bool { state.withLock { $0.isKept } }

  /// From now on the stream lives without a task: it is not closed when whoever serves it returns.
  ///
  /// For streams that are consumed; who keeps one learns of its end by `whenClosed`.
  package func keepOpen() { state.withLock { $0.isKept = true } }

  /// Notes the task that serves the stream, as long as there has to be one; nil for none any more.
  func isServed(by task: Task<Void, Never>?) {
    state.withLock { $0.serving = $0.isKept || $0.end != nil ? nil : task }
    if isClosed { task?.cancel() }
  }

  func cancelServing() {
    let task = state.withLock { state in
      defer { state.serving = nil }
      return state.serving
    }
    task?.cancel()
  }

  /// Sends what was written, then ends the connection.
  package func close() async {
    await finishWriting()
    channel.close()
  }

  /// Sends what was written, then tells the other side that there is no more; reading goes on.
  func closeOutput() async {
    await finishWriting()
    channel.closeOutput()
  }

  /// Takes no more writes, and waits until those taken have left.
  private func finishWriting() async {
    state.withLock { $0.isClosing = true }
    let deadline = abort(after: Self.lingerTimeout, because: "the other side stopped reading")
    await waitUntilSent()
    deadline.cancel()
  }

  /// Returns once everything that was written has been handed to the kernel, or the connection has
  /// ended.
  func waitUntilSent() async {
    await withCheckedContinuation { continuation in
      let isSent = state.withLock { state in
        guard state.outstanding > 0, state.end == nil else { return true }
        state.drainWaiters.append(continuation)
        return false
      }
      if isSent { continuation.resume() }
    }
  }

  /// Ends the connection at once; what was not sent yet is lost.
  package func abort() { abort(because: .closed()) }

  func abort(because error: HTTPTransportError) {
    didEnd(.failure(error))
    channel.close()
  }

  /// Calls back once the connection has ended, at once if it has already.
  package func whenClosed(_ callback: @escaping @Sendable () -> Void) {
    let hasEnded = state.withLock { state in
      guard state.end == nil else { return true }
      state.closeCallbacks.append(callback)
      return false
    }
    if hasEnded { callback() }
  }

  /// Returns once the connection has ended.
  package func waitUntilClosed() async {
    await withCheckedContinuation { continuation in
      let hasEnded = state.withLock { state in
        guard state.end == nil else { return true }
        state.closeWaiters.append(continuation)
        return false
      }
      if hasEnded { continuation.resume() }
    }
  }

  /// Why the connection ended, if it did and not by the other side's orderly close.
  package var failure: HTTPTransportError? {
    state.withLock { state in
      guard case .failure(let error) = state.end else { return nil }
      return error
    }
  }
}
