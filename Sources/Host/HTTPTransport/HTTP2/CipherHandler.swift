// SPDX-License-Identifier: Apache-2.0

import Bytes
import NIOCore

/// Seals what goes out and opens what comes in, in the pipeline between the socket and HTTP/2.
///
/// Everything written before a flush is sealed together: records are full where they can be.
final class CipherHandler: ChannelDuplexHandler {
  typealias InboundIn = ByteBuffer
  typealias InboundOut = ByteBuffer
  typealias OutboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  private var cipher: any RecordCipher
  private var pending: [UInt8] = []
  private var promises: [EventLoopPromise<Void>] = []
  private var hasFailed = false

  init(_ cipher: any RecordCipher) { self.cipher = cipher }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    guard !hasFailed else { return }
    do {
      let plaintext = try cipher.open(Array(unwrapInboundIn(data).readableBytesView))
      guard !plaintext.isEmpty else { return }
      context.fireChannelRead(wrapInboundOut(ByteBuffer(bytes: plaintext)))
    } catch {
      fail(context, "a record cannot be opened: \(error)")
    }
  }

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    pending += unwrapOutboundIn(data).readableBytesView
    if let promise { promises.append(promise) }
  }

  func flush(context: ChannelHandlerContext) {
    defer { context.flush() }
    guard !pending.isEmpty || !promises.isEmpty else { return }
    let (bytes, waiting) = (pending, promises)
    (pending, promises) = ([], [])
    do {
      let sealed = try cipher.seal(bytes)
      let promise = context.eventLoop.makePromise(of: Void.self)
      promise.futureResult.whenComplete { outcome in
        for each in waiting { each.completeWith(outcome) }
      }
      context.write(wrapOutboundOut(ByteBuffer(bytes: sealed)), promise: promise)
    } catch {
      for each in waiting { each.fail(error) }
      fail(context, "nothing more can be sealed: \(error)")
    }
  }

  func channelInactive(context: ChannelHandlerContext) {
    let waiting = promises
    (pending, promises) = ([], [])
    for each in waiting { each.fail(ChannelError.ioOnClosedChannel) }
    context.fireChannelInactive()
  }

  private func fail(_ context: ChannelHandlerContext, _ what: String) {
    hasFailed = true
    context.fireErrorCaught(HTTPTransportError(.malformed, what))
    context.close(promise: nil)
  }
}

/// Closes the connection on an error that nobody before it took care of.
final class LastHandler: ChannelInboundHandler {
  typealias InboundIn = Any

  private let stream: ByteStream

  init(_ stream: ByteStream) { self.stream = stream }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    stream.abort(because: HTTPTransportError(reading: error))
  }
}
