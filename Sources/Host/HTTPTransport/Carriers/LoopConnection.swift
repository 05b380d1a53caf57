// SPDX-License-Identifier: Apache-2.0

import Addressing
import Cryptography
import HostIO
import NIOCore
import Synchronization

/// A TCP connection of a server, with or without TLS, that a loop of our own drives.
@safe final class LoopConnection: ByteCarrier, @unchecked Sendable {
  // SAFETY: what changes belongs to the thread of the loop; others only ask it for something.

  /// How long the other side may take to end its half when we have ended ours.
  private static let lingerTimeout = TimeAmount.seconds(2)

  /// How far the connection is.
  private enum Phase: Hashable {
    case open
    /// We have said that no more comes; the other side may go on.
    case outputEnded
    /// We have ended it, and only wait for the other side to notice.
    case lingering
    case closed
  }

  let loop: StreamLoop
  private(set) var token: UInt64 = 0
  /// Where the connection begins; only before the loop has it.
  var localEndpoint: Endpoint? { socket?.localEndpoint }
  /// What the server shows; nil for no TLS.
  var context: TLSContext?
  private var socket: TCPSocket?
  private var tls: TLSSession?
  private var webSocket: WebSocketCodec?
  private var stream: ByteStream?
  private var phase = Phase.open
  private var interest = Poller.Interest.reading
  private var mustFlush = false
  /// What the kernel did not take yet, from `sentCount` on.
  private var unsent: [UInt8] = []
  private var sentCount = 0
  /// How many bytes of the stream are in what was not sent.
  private var credit = 0

  init(_ socket: consuming TCPSocket, on loop: StreamLoop) {
    self.socket = consume socket
    self.loop = loop
    loop.population.add(1, ordering: .relaxed)
  }

  deinit { loop.population.subtract(1, ordering: .relaxed) }

  /// Tunes the socket; only before the loop has it.
  func tune(idleSeconds: Int, userTimeoutMilliseconds: Int) {
    socket?.tune(idleSeconds: idleSeconds, userTimeoutMilliseconds: userTimeoutMilliseconds)
  }

  // MARK: From any thread

  var eventLoop: any EventLoop { loop.eventLoop }
  func execute(_ work: @escaping @Sendable () -> Void) { loop.post(.work(work)) }
  func read() { loop.post(.read(self)) }
  func flushSoon(_ stream: ByteStream) { loop.post(.flush(self)) }
  func close() { loop.post(.close(self)) }
  func closeOutput() { loop.post(.closeOutput(self)) }

  // MARK: Beginning

  /// The loop takes the connection over.
  func begin(_ stream: ByteStream) {
    guard phase == .open, !stream.isClosed, let descriptor = socket?.rawDescriptor else {
      return endAbruptly(.success(()))
    }
    self.stream = stream
    if let context {
      do throws(TLSFailure) {
        guard let exchange = loop.exchange else { throw TLSFailure("there is no memory for TLS") }
        tls = try TLSSession(serving: context, over: exchange)
      } catch {
        return endAbruptly(.failure(HTTPTransportError(.system, "TLS failed: \(error)")))
      }
    }
    context = nil
    guard let token = loop.add(self, descriptor) else {
      return endAbruptly(.failure(.closed("the system cannot wait for it")))
    }
    self.token = token
  }

  // MARK: Receiving

  func resumeReading() { want(interest.union(.reading)) }

  /// Reads once; returns how much came.
  func canRead(isBroken: Bool) -> Int {
    guard phase != .closed, let stream else { return 0 }
    if phase != .lingering, !isBroken, !stream.mayRead() {
      want(interest.subtracting(.reading))
      return 0
    }
    switch unsafe socket?.receive(into: loop.received) {
    case .wouldWait, nil: return 0
    case .failed(let code):
      endAbruptly(.failure(.closed("the connection broke: \(HostError("", code: code).reason)")))
      return 0
    case .ended:
      let isCut = tls != nil && phase != .lingering
      endAbruptly(
        isCut ? .failure(.closed("the connection was cut without a TLS close")) : .success(())
      )
      return 0
    case .bytes(let count):
      take(count, stream)
      return count
    }
  }

  private func take(_ count: Int, _ stream: ByteStream) {
    let received = unsafe UnsafeRawBufferPointer(rebasing: loop.received[..<count])
    let wasEstablished = tls?.isEstablished ?? true
    guard let (length, progress) = unsafe tls?.receive(received, into: loop.plaintext) else {
      return unsafe deliver(received, stream)
    }
    pushSealed()
    if !wasEstablished, tls?.isEstablished == true {
      stream.didHandshake(nil, version: tls?.version)
      // Who looked at the answer to a challenge has seen all.
      if tls?.isAnswer == true { return endByUs() }
    }
    unsafe deliver(UnsafeRawBufferPointer(rebasing: loop.plaintext[..<length]), stream)
    switch progress {
    case .open: break
    case .ended: endAbruptly(.success(()))
    case .failed(let reason):
      endAbruptly(.failure(HTTPTransportError(.untrusted, "TLS failed: \(reason)")))
    }
  }

  private func deliver(_ bytes: UnsafeRawBufferPointer, _ stream: ByteStream) {
    guard unsafe !bytes.isEmpty, phase != .lingering, phase != .closed else { return }
    let bytes = unsafe Array(bytes)
    guard webSocket != nil else { return stream.didReceive(bytes) }
    unpack(bytes, stream)
  }

  // MARK: Sending

  /// Lets the stream hand over what it has accepted, once what it gave before has left.
  func flush() {
    guard unsent.isEmpty else {
      mustFlush = true
      return
    }
    stream?.flush()
  }

  func send(_ bytes: ByteBuffer, of stream: ByteStream) {
    guard phase == .open else { return stream.didWrite(bytes.readableBytes) }
    credit += bytes.readableBytes
    if webSocket != nil { push(WebSocketCodec.header(0x82, bytes.readableBytes)) }
    unsafe bytes.withUnsafeReadableBytes { bytes in unsafe push(bytes) }
    settleCredit()
  }

  private func push(_ bytes: [UInt8]) {
    unsafe bytes.withUnsafeBytes { bytes in unsafe push(bytes) }
  }

  private func push(_ bytes: UnsafeRawBufferPointer) {
    guard tls != nil else { return unsafe pushRaw(bytes) }
    // A session that failed ends when it reads.
    _ = unsafe tls?.send(bytes)
    // Small pieces are sealed each for itself and leave together.
    pushSealed()
  }

  private func pushSealed() {
    guard let exchange = loop.exchange, exchange.outputCount > 0 else { return }
    unsafe exchange.takeOutput { bytes in unsafe pushRaw(bytes) }
  }

  private func pushRaw(_ bytes: UnsafeRawBufferPointer) {
    guard phase != .closed else { return }
    guard unsent.isEmpty else { return unsafe unsent.append(contentsOf: bytes) }
    let sent = unsafe give(bytes)
    guard sent < bytes.count else { return }
    unsafe unsent.append(contentsOf: bytes[sent...])
    want(interest.union(.writing))
  }

  /// Gives bytes to the kernel; returns how many it took.
  private func give(_ bytes: UnsafeRawBufferPointer) -> Int {
    var sent = 0
    while sent < bytes.count {
      let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[sent...])
      switch unsafe socket?.send(rest) {
      case .bytes(let count): sent += count
      // A broken connection is noticed when it is read from.
      case .wouldWait, .ended, .failed, nil: return sent
      }
    }
    return sent
  }

  func canWrite() {
    guard phase != .closed, !unsent.isEmpty else {
      return want(interest.subtracting(.writing))
    }
    let sent = unsafe unsent.withUnsafeBytes { bytes in
      unsafe give(UnsafeRawBufferPointer(rebasing: bytes[sentCount...]))
    }
    sentCount += sent
    guard sentCount == unsent.count else {
      // Progress is told as it is made, so that slow is not taken for stuck.
      let left = min(credit - 1, sent)
      if left > 0 {
        credit -= left
        stream?.didWrite(left)
      }
      return
    }
    (unsent, sentCount) = ([], 0)
    want(interest.subtracting(.writing))
    settleCredit()
    if let pong = webSocket?.takeUnanswered() { push(pong) }
    if phase == .outputEnded || phase == .lingering { socket?.endSending() }
    if mustFlush {
      mustFlush = false
      stream?.flush()
    }
  }

  private func settleCredit() {
    guard unsent.isEmpty, credit > 0 else { return }
    let left = credit
    credit = 0
    stream?.didWrite(left)
  }

  private func want(_ interest: Poller.Interest) {
    guard interest != self.interest, phase != .closed, let descriptor = socket?.rawDescriptor else {
      return
    }
    self.interest = interest
    loop.update(descriptor, token, for: interest)
  }

  // MARK: Ending

  /// Says that no more comes from us.
  func endOutput() {
    guard phase == .open else { return }
    sayGoodbye()
    phase = .outputEnded
  }

  private func sayGoodbye() {
    if let codec = webSocket { push(codec.farewell) }
    tls?.end()
    pushSealed()
    if unsent.isEmpty { socket?.endSending() }
  }

  /// We end the connection: at once when it failed, else when the other side had time to notice.
  func endByUs() {
    guard phase == .open || phase == .outputEnded else { return }
    guard let stream, stream.failure == nil || webSocket?.isRefused == true else {
      return endAbruptly(.success(()))
    }
    if phase == .open { sayGoodbye() }
    phase = .lingering
    want(interest.union(.reading))
    eventLoop.scheduleTask(in: Self.lingerTimeout) { [self] in
      loop.post(.work { self.endAbruptly(.success(())) })
    }
  }

  private func endAbruptly(_ end: Result<Void, HTTPTransportError>) {
    guard phase != .closed else { return }
    if phase == .open, tls != nil {
      tls?.end()
      pushSealed()
    }
    phase = .closed
    if token != 0, let descriptor = socket?.rawDescriptor { loop.remove(descriptor, token) }
    tls = nil
    socket = nil
    (unsent, webSocket) = ([], nil)
    stream?.didEnd(end)
    stream = nil
  }
}

// MARK: - WebSocket

extension LoopConnection {
  func becomeWebSocket(_ stream: ByteStream) async throws {
    await withCheckedContinuation { continuation in
      loop.post(
        .work { [self] in
          beginWebSocket(stream)
          continuation.resume()
        }
      )
    }
    if let failure = stream.failure { throw failure }
  }

  private func beginWebSocket(_ stream: ByteStream) {
    stream.flush()
    webSocket = WebSocketCodec()
    let early = stream.takeUnread()
    if !early.isEmpty { unpack(early, stream) }
  }

  private func unpack(_ bytes: [UInt8], _ stream: ByteStream) {
    guard let codec = webSocket else { return }
    var data: [UInt8] = []
    let event = codec.unpack(bytes, into: &data) { pong in
      if unsent.isEmpty { push(pong) } else { codec.unanswered = pong }
    }
    if !data.isEmpty { stream.didReceive(data) }
    switch event {
    case .open: break
    case .ended:
      // The answer goes first: whoever hears of the end may cut the connection at once.
      endByUs()
      stream.didEnd(.success(()))
    case .violated(let what):
      stream.didEnd(
        .failure(
          HTTPTransportError(.malformed, "the client broke the WebSocket protocol: \(what)")
        )
      )
      endByUs()
    }
  }
}

/// The messages of one WebSocket, whose server we are.
final class WebSocketCodec {
  /// What is to follow from what was received.
  enum Outcome {
    case open
    case ended
    case violated(String)
  }

  private var decoder = WebSocketDecoder()
  private var code: UInt16 = 1000
  /// Whether the client broke the protocol.
  private(set) var isRefused = false
  /// The answer to a ping that came when nothing could be sent.
  var unanswered: [UInt8]?

  func takeUnanswered() -> [UInt8]? {
    defer { unanswered = nil }
    return unanswered
  }

  /// What the client is told at the end.
  var farewell: [UInt8] {
    Self.header(0x88, 2) + [UInt8(truncatingIfNeeded: code >> 8), UInt8(truncatingIfNeeded: code)]
  }

  /// Takes messages apart; `pong` gets the frames that answer pings.
  func unpack(_ bytes: [UInt8], into data: inout [UInt8], pong: ([UInt8]) -> Void) -> Outcome {
    decoder.append(bytes)
    do throws(WebSocketDecoder.Violation) {
      while let event = try decoder.next() {
        switch event {
        case .data(let more): data = data.isEmpty ? more : data + more
        case .ping(let payload): pong(Self.header(0x8A, payload.count) + payload)
        case .pong: break
        case .close(let code):
          self.code = code ?? 1000
          return .ended
        }
      }
    } catch {
      (code, isRefused) = (error.code, true)
      return .violated(error.what)
    }
    return .open
  }

  /// The header of a frame.
  static func header(_ first: UInt8, _ length: Int) -> [UInt8] {
    func bytes(_ count: Int) -> [UInt8] {
      (0..<count).reversed().map { UInt8(truncatingIfNeeded: length >> (8 * $0)) }
    }
    return switch length {
    case ..<126: [first, UInt8(length)]
    case ..<65_536: [first, 126] + bytes(2)
    default: [first, 127] + bytes(8)
    }
  }
}
