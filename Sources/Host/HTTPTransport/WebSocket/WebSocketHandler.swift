// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// The server's end of a WebSocket, between the socket and a stream of plain bytes.
///
/// What the stream writes leaves in binary messages. Pings are answered, at most one at a time: of
/// several that come meanwhile the last. Who breaks the protocol is told so and let go.
final class WebSocketHandler: ChannelDuplexHandler, @unchecked Sendable {
  // SAFETY: NIO calls on the event loop of the channel only, and so does what makes it.
  typealias InboundIn = ByteBuffer
  typealias InboundOut = ByteBuffer
  typealias OutboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  /// How long a client that was refused may take to read why.
  static let lingerTimeout = TimeAmount.seconds(2)

  private enum State {
    case open
    /// The client was told, or told us, that this is the end.
    case closing
    case lingering
  }

  private var decoder = WebSocketDecoder()
  private var state = State.open
  private var context: ChannelHandlerContext?
  /// What the client is told when the connection is closed.
  private var farewell: UInt16 = 1000
  private var isRefused = false
  /// Whether a pong is on its way to the kernel, and the ping that came since.
  private var isPonging = false
  private var unanswered: [UInt8]?

  func handlerAdded(context: ChannelHandlerContext) { self.context = context }

  func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

  // MARK: In

  /// Takes what was received before the handler stood in the pipeline.
  func deliver(_ early: [UInt8]) {
    guard let context, !early.isEmpty else { return }
    receive(early, context)
    context.fireChannelReadComplete()
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    receive(Array(unwrapInboundIn(data).readableBytesView), context)
  }

  private func receive(_ bytes: [UInt8], _ context: ChannelHandlerContext) {
    guard state == .open else { return }
    decoder.append(bytes)
    var data: [UInt8] = []
    do throws(WebSocketDecoder.Violation) {
      while let event = try decoder.next() {
        switch event {
        case .data(let more): data = data.isEmpty ? more : data + more
        case .ping(let payload): answer(payload, context)
        case .pong: break
        case .close(let code):
          pass(data, context)
          farewell = code ?? 1000
          return context.channel.close(promise: nil)
        }
      }
      pass(data, context)
    } catch {
      pass(data, context)
      (farewell, isRefused) = (error.code, true)
      context.fireErrorCaught(
        HTTPTransportError(.malformed, "the client broke the WebSocket protocol: \(error.what)")
      )
    }
  }

  private func pass(_ bytes: [UInt8], _ context: ChannelHandlerContext) {
    guard !bytes.isEmpty else { return }
    context.fireChannelRead(wrapInboundOut(ByteBuffer(bytes: bytes)))
  }

  private func answer(_ payload: [UInt8], _ context: ChannelHandlerContext) {
    guard !isPonging else {
      unanswered = payload
      return
    }
    isPonging = true
    let promise = context.eventLoop.makePromise(of: Void.self)
    promise.futureResult.whenComplete { [self] _ in
      isPonging = false
      guard let next = unanswered, state == .open, let context = self.context else { return }
      unanswered = nil
      answer(next, context)
    }
    context.writeAndFlush(wrapOutboundOut(Self.frame(0x8A, payload)), promise: promise)
  }

  // MARK: Out

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    guard state == .open else {
      promise?.fail(ChannelError.ioOnClosedChannel)
      return
    }
    let payload = unwrapOutboundIn(data)
    var header = ByteBuffer()
    Self.writeHeader(0x82, payload.readableBytes, to: &header)
    context.write(wrapOutboundOut(header), promise: nil)
    context.write(wrapOutboundOut(payload), promise: promise)
  }

  /// Says that this is the end before the connection ends.
  func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
    switch state {
    case .lingering: context.channel.closeFuture.cascade(to: promise)
    case .closing: context.close(mode: mode, promise: promise)
    case .open:
      guard mode != .input else { return context.close(mode: mode, promise: promise) }
      let code = [UInt8(truncatingIfNeeded: farewell >> 8), UInt8(truncatingIfNeeded: farewell)]
      context.writeAndFlush(wrapOutboundOut(Self.frame(0x88, code)), promise: nil)
      state = isRefused ? .lingering : .closing
      guard isRefused else { return context.close(mode: mode, promise: promise) }
      // It may still be writing: were the connection cut, it would never read why.
      context.close(mode: .output, promise: nil)
      context.channel.closeFuture.cascade(to: promise)
      context.eventLoop.scheduleTask(in: Self.lingerTimeout) { [self] in
        state = .closing
        self.context?.close(mode: .all, promise: nil)
      }
    }
  }

  /// A whole frame of a control message.
  private static func frame(_ first: UInt8, _ payload: [UInt8]) -> ByteBuffer {
    var frame = ByteBuffer()
    writeHeader(first, payload.count, to: &frame)
    frame.writeBytes(payload)
    return frame
  }

  private static func writeHeader(_ first: UInt8, _ length: Int, to header: inout ByteBuffer) {
    header.writeInteger(first)
    switch length {
    case ..<126: header.writeInteger(UInt8(length))
    case ..<65_536:
      header.writeInteger(UInt8(126))
      header.writeInteger(UInt16(length))
    default:
      header.writeInteger(UInt8(127))
      header.writeInteger(UInt64(length))
    }
  }
}

extension ByteStream {
  /// From now on the bytes of this stream travel in messages of a WebSocket, whose server we are.
  ///
  /// What was written before leaves as it is, what was received and not read yet is taken apart.
  func becomeWebSocket() async throws { try await channel.becomeWebSocket(self) }
}
