// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOHPACK
import NIOHTTP2
import Synchronization

/// One request and its response: a stream of an HTTP/2 connection, seen from either side.
final class HTTP2Exchange: Sendable {
  /// Reading pauses while this much waits to be read.
  static let inboundBound = 256 * 1024

  private struct State {
    var head: Result<HPACKHeaders, HTTPTransportError>?
    var headWaiter: CheckedContinuation<HPACKHeaders, any Error>?
    var body: [UInt8] = []
    var bodyWaiter: CheckedContinuation<[UInt8]?, any Error>?
    var isReadHeld = false
    var hasBegun = false
    var end: Result<Void, HTTPTransportError>?
    var isGone = false
    var goneCallbacks: [@Sendable () -> Void] = []
  }

  let channel: any Channel
  private let state = Mutex(State())

  init(_ channel: any Channel) { self.channel = channel }

  // MARK: Reading

  /// The header fields that the other side sends first.
  func head() async throws -> HPACKHeaders {
    try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        let known = state.withLock { state -> Result<HPACKHeaders, HTTPTransportError>? in
          if state.head == nil { state.headWaiter = continuation }
          return state.head
        }
        if let known { continuation.resume(with: known) }
      }
    } onCancel: {
      reset(.cancel)
    }
  }

  /// The next piece of the other side's body; nil at its end.
  func next() async throws -> [UInt8]? {
    try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        let outcome = state.withLock { state -> Result<[UInt8]?, any Error>? in
          if !state.body.isEmpty {
            defer { state.body = [] }
            return .success(state.body)
          }
          switch state.end {
          case .success: return .success(nil)
          case .failure(let error): return .failure(error)
          case nil:
            state.bodyWaiter = continuation
            return nil
          }
        }
        if let outcome { continuation.resume(with: outcome) }
        resumeReading()
      }
    } onCancel: {
      reset(.cancel)
    }
  }

  private func resumeReading() {
    let wasHeld = state.withLock { state in
      guard state.isReadHeld, state.body.count < Self.inboundBound else { return false }
      state.isReadHeld = false
      return true
    }
    if wasHeld { channel.read() }
  }

  // MARK: Writing

  /// Sends header fields; returns when they are on their way.
  func write(_ headers: HPACKHeaders, endStream: Bool) async throws {
    try await send(.headers(.init(headers: headers, endStream: endStream)))
  }

  /// Sends a part of the body; returns when the other side let us send it and the socket took it.
  func write(_ bytes: [UInt8], endStream: Bool = false) async throws {
    try await send(.data(.init(data: .byteBuffer(ByteBuffer(bytes: bytes)), endStream: endStream)))
  }

  private func send(_ payload: HTTP2Frame.FramePayload) async throws {
    let promise = channel.eventLoop.makePromise(of: Void.self)
    channel.writeAndFlush(payload, promise: promise)
    do {
      try await withTaskCancellationHandler {
        try await promise.futureResult.get()
      } onCancel: {
        reset(.cancel)
      }
    } catch {
      try Task.checkCancellation()
      throw HTTPTransportError(reading: error)
    }
  }

  /// Ends the exchange at once, both ways; the connection goes on.
  func reset(_ code: HTTP2ErrorCode) {
    let channel = channel
    channel.eventLoop.execute { [self] in
      let (isGone, hasBegun) = state.withLock { ($0.isGone, $0.hasBegun || $0.head != nil) }
      guard !isGone else { return }
      // To give up what the other side has not heard of would break the protocol.
      if hasBegun {
        channel.writeAndFlush(HTTP2Frame.FramePayload.rstStream(code), promise: nil)
      }
      channel.close(promise: nil)
    }
  }

  /// Calls back once the exchange is over, at once if it is already.
  func whenGone(_ callback: @escaping @Sendable () -> Void) {
    let isGone = state.withLock { state in
      if !state.isGone { state.goneCallbacks.append(callback) }
      return state.isGone
    }
    if isGone { callback() }
  }
}

/// What the handler of the stream's channel tells; all on the event loop.
extension HTTP2Exchange {
  fileprivate func didBegin() { state.withLock { $0.hasBegun = true } }

  fileprivate func didReceive(_ headers: HPACKHeaders) {
    // Trailers come in the same kind of frame; nobody asks for them.
    let waiter = state.withLock { state -> CheckedContinuation<HPACKHeaders, any Error>? in
      guard state.head == nil else { return nil }
      if headers.first(name: ":status")?.hasPrefix("1") == true { return nil }
      state.head = .success(headers)
      defer { state.headWaiter = nil }
      return state.headWaiter
    }
    waiter?.resume(returning: headers)
  }

  fileprivate func didReceive(_ bytes: [UInt8]) {
    guard !bytes.isEmpty else { return }
    let waiter = state.withLock { state in
      if state.bodyWaiter == nil { state.body += bytes }
      defer { state.bodyWaiter = nil }
      return state.bodyWaiter
    }
    waiter?.resume(returning: bytes)
  }

  fileprivate func mayRead() -> Bool {
    state.withLock { state in
      guard state.body.count >= Self.inboundBound else { return true }
      state.isReadHeld = true
      return false
    }
  }

  fileprivate func didEnd(_ end: Result<Void, HTTPTransportError>) {
    let (head, body) = state.withLock { state in
      let early: Result<HPACKHeaders, HTTPTransportError> = .failure(.closed("no answer came"))
      if state.end == nil { state.end = end }
      if state.head == nil { state.head = end.flatMap { early } }
      defer { (state.headWaiter, state.bodyWaiter) = (nil, nil) }
      return (
        state.headWaiter.flatMap { waiter in state.head.map { (waiter, $0) } },
        state.bodyWaiter.map { ($0, end) }
      )
    }
    head?.0.resume(with: head?.1 ?? .failure(.closed()))
    switch body {
    case (let waiter, .success)?: waiter.resume(returning: nil)
    case (let waiter, .failure(let error))?: waiter.resume(throwing: error)
    case nil: break
    }
  }

  fileprivate func didGo() {
    didEnd(.failure(.closed("the connection ended in the middle of a body")))
    let callbacks = state.withLock { state in
      state.isGone = true
      defer { state.goneCallbacks = [] }
      return state.goneCallbacks
    }
    for callback in callbacks { callback() }
  }
}

/// The handler in the channel of one stream.
final class HTTP2ExchangeHandler: ChannelDuplexHandler {
  typealias InboundIn = HTTP2Frame.FramePayload
  typealias OutboundIn = HTTP2Frame.FramePayload
  typealias OutboundOut = HTTP2Frame.FramePayload

  private let exchange: HTTP2Exchange

  init(_ exchange: HTTP2Exchange) { self.exchange = exchange }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    switch unwrapInboundIn(data) {
    case .headers(let headers):
      exchange.didReceive(headers.headers)
      if headers.endStream { exchange.didEnd(.success(())) }
    case .data(let data):
      guard case .byteBuffer(let buffer) = data.data else { break }
      exchange.didReceive(Array(buffer.readableBytesView))
      if data.endStream { exchange.didEnd(.success(())) }
    case .rstStream(let code):
      exchange.didEnd(.failure(.closed("the other side gave the exchange up (\(code))")))
    default: break
    }
  }

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    if case .headers = unwrapOutboundIn(data) { exchange.didBegin() }
    context.write(data, promise: promise)
  }

  func read(context: ChannelHandlerContext) {
    if exchange.mayRead() { context.read() }
  }

  func channelInactive(context: ChannelHandlerContext) {
    exchange.didGo()
    context.fireChannelInactive()
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    exchange.didEnd(.failure(HTTPTransportError(reading: error)))
    context.close(promise: nil)
  }
}
