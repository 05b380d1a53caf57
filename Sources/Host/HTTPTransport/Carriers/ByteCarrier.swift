// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// What carries the bytes of a stream: a channel of NIO, or a connection of a loop of our own.
protocol ByteCarrier: AnyObject, Sendable {
  /// Where the timers of the stream run.
  var eventLoop: any EventLoop { get }
  /// Does something on the thread that reads and writes.
  func execute(_ work: @escaping @Sendable () -> Void)
  /// Goes on to read, which was held.
  func read()
  /// Lets the stream flush soon, on the thread that reads and writes.
  func flushSoon(_ stream: ByteStream)
  /// Sends what the stream had accepted, and tells it what has left; on that thread.
  func send(_ bytes: ByteBuffer, of stream: ByteStream)
  /// Ends the connection.
  func close()
  /// Tells the other side that no more comes.
  func closeOutput()
  /// From now on packs what is sent into messages of a WebSocket, and unpacks what is received.
  func becomeWebSocket(_ stream: ByteStream) async throws
}

/// A channel of NIO.
final class ChannelCarrier: ByteCarrier {
  /// Stuck writes are noticed in pieces of this size.
  static let writeGranule = 16 * 1024

  let channel: any Channel

  init(_ channel: any Channel) { self.channel = channel }

  var eventLoop: any EventLoop { channel.eventLoop }

  func execute(_ work: @escaping @Sendable () -> Void) { channel.eventLoop.execute(work) }

  func read() { channel.read() }

  func flushSoon(_ stream: ByteStream) { channel.eventLoop.execute { stream.flush() } }

  func send(_ bytes: ByteBuffer, of stream: ByteStream) {
    var bytes = bytes
    while let slice = bytes.readSlice(length: min(Self.writeGranule, bytes.readableBytes)),
      slice.readableBytes > 0
    {
      let count = slice.readableBytes
      let promise = channel.eventLoop.makePromise(of: Void.self)
      promise.futureResult.whenComplete { _ in stream.didWrite(count) }
      channel.write(slice, promise: promise)
    }
    channel.flush()
  }

  func close() { channel.close(promise: nil) }

  func closeOutput() { channel.close(mode: .output, promise: nil) }

  func becomeWebSocket(_ stream: ByteStream) async throws {
    try await channel.eventLoop.submit { [channel] in
      stream.flush()
      let pipeline = channel.pipeline.syncOperations
      let end = try pipeline.handler(type: ByteStreamHandler.self)
      let handler = WebSocketHandler()
      try pipeline.addHandler(handler, position: .before(end))
      handler.deliver(stream.takeUnread())
    }.get()
  }
}
