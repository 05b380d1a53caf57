// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOTLS
import Synchronization

/// The end of a channel's pipeline that belongs to a stream.
final class ByteStreamHandler: ChannelDuplexHandler {
  typealias InboundIn = ByteBuffer
  typealias InboundOut = ByteBuffer
  typealias OutboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  let stream: ByteStream
  private var context: ChannelHandlerContext?
  private var isDetached = false

  init(_ stream: ByteStream) { self.stream = stream }

  func handlerAdded(context: ChannelHandlerContext) { self.context = context }

  func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    guard !isDetached else { return context.fireChannelRead(data) }
    stream.didReceive(Array(unwrapInboundIn(data).readableBytesView))
  }

  func read(context: ChannelHandlerContext) {
    if isDetached || stream.mayRead() { context.read() }
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    if case .handshakeCompleted = event as? TLSUserEvent {
      stream.didHandshake(
        context.pipeline.syncOperations.peerCertificate,
        version: context.pipeline.syncOperations.tlsVersionText
      )
    }
    context.fireUserInboundEventTriggered(event)
  }

  func channelInactive(context: ChannelHandlerContext) {
    stream.didEnd(.success(()))
    context.fireChannelInactive()
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    stream.didEnd(.failure(HTTPTransportError(reading: error)))
    if isDetached { context.fireErrorCaught(error) }
    context.close(promise: nil)
  }

  /// Lets everything through to the handlers that follow, beginning with what was not read yet.
  func detach() {
    isDetached = true
    let unread = stream.takeUnread()
    guard let context, !unread.isEmpty else { return }
    context.fireChannelRead(wrapInboundOut(ByteBuffer(bytes: unread)))
    context.fireChannelReadComplete()
  }
}

/// What the handler tells its stream; all on the event loop.
extension ByteStream {
  func didReceive(_ bytes: [UInt8]) {
    guard !bytes.isEmpty else { return }
    let (consumer, reader) = state.withLock {
      state -> (ByteStreamState.Consumer?, ByteStreamState.Reader?) in
      if let consumer = state.consumer { return (consumer, nil) }
      if let reader = state.reader {
        state.reader = nil
        return (nil, reader)
      }
      state.inbound += bytes
      return (nil, nil)
    }
    consumer?.receive(bytes)
    reader?.resume(returning: bytes)
  }

  /// Whether to read more from the network; if not, it is made up for when there is room.
  func mayRead() -> Bool {
    state.withLock { state in
      let isPaused = state.pausedUntil.map { $0 > .now() } ?? false
      guard isPaused || state.inbound.count >= Self.inboundBound else { return true }
      state.isReadHeld = true
      return false
    }
  }

  func didHandshake(_ certificate: [UInt8]?, version: String?) {
    let waiters = state.withLock { state in
      state.isHandshakeDone = true
      state.tlsVersion = version
      let noted = state.certificateNote?.shown ?? []
      state.peerCertificates = noted.isEmpty ? certificate.map { [$0] } ?? [] : noted
      defer { state.handshakeWaiters = [] }
      return state.handshakeWaiters
    }
    for waiter in waiters { waiter.resume() }
  }

  /// Waits until the TLS handshake is done.
  ///
  /// - Throws: when the connection ends first.
  func waitForHandshake() async throws {
    await withCheckedContinuation { continuation in
      let isOver = state.withLock { state in
        guard !state.isHandshakeDone, state.end == nil else { return true }
        state.handshakeWaiters.append(continuation)
        return false
      }
      if isOver { continuation.resume() }
    }
    let (isDone, end) = state.withLock { ($0.isHandshakeDone, $0.end) }
    guard !isDone else { return }
    if case .failure(let error) = end { throw error }
    throw HTTPTransportError.closed("the connection was closed during the TLS handshake")
  }

  /// The stream has ended; the first reason counts.
  func didEnd(_ end: Result<Void, HTTPTransportError>) {
    let (reader, waiters, callbacks) = state.withLock { state in
      guard state.end == nil else {
        return (
          nil as ByteStreamState.Reader?, [ByteStreamState.Waiter](), [@Sendable () -> Void]()
        )
      }
      state.end = end
      defer {
        state.reader = nil
        state.closeCallbacks = []
      }
      return (state.reader, state.takeAllWaiters(), state.closeCallbacks)
    }
    switch end {
    case .success: reader?.resume(returning: nil)
    case .failure(let error): reader?.resume(throwing: error)
    }
    for waiter in waiters { waiter.resume() }
    for callback in callbacks { callback() }
  }

  func takeUnread() -> [UInt8] {
    state.withLock { state in
      precondition(state.reader == nil, "a stream is handed over by its reader")
      defer { state.inbound = [] }
      return state.inbound
    }
  }
}
