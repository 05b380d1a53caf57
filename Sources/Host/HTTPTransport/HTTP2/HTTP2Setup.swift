// SPDX-License-Identifier: Apache-2.0

import Bytes
import NIOCore
import NIOHTTP2

/// How much of a connection each side lets the other fill before it reads.
enum HTTP2Windows {
  static let serverStream = 64 * 1024
  static let serverConnection = 256 * 1024
  /// A network map of thousands of nodes should not wait for a round trip every 64 KiB.
  static let clientStream = 1024 * 1024
  static let clientConnection = 2 * 1024 * 1024
}

extension ByteStream {
  /// Turns this stream into an HTTP/2 connection inside `cipher`.
  ///
  /// The prelude is plaintext that was opened already and belongs to HTTP/2; `accept` prepares the
  /// channel of a stream that the other side opens. Returns what opens streams of our own.
  func startHTTP2(
    as mode: NIOHTTP2Handler.ParserMode,
    cipher: any RecordCipher,
    prelude: [UInt8],
    connection: NIOHTTP2Handler.ConnectionConfiguration,
    window: Int,
    accept: @escaping NIOChannelInitializer
  ) async throws -> NIOHTTP2Handler.StreamMultiplexer {
    var streams = NIOHTTP2Handler.StreamConfiguration()
    streams.targetWindowSize = window
    guard let channel = (channel as? ChannelCarrier)?.channel else {
      throw HTTPTransportError(.system, "HTTP/2 is spoken over channels of NIO only")
    }
    let configuration = streams
    return try await channel.eventLoop.submit { [self] in
      flush()
      let pipeline = channel.pipeline.syncOperations
      try pipeline.addHandler(CipherHandler(cipher))
      let door = PreludeHandler()
      try pipeline.addHandler(door)
      let multiplexer = try pipeline.configureHTTP2Pipeline(
        mode: mode,
        connectionConfiguration: connection,
        streamConfiguration: configuration,
        inboundStreamInitializer: accept
      )
      try pipeline.addHandler(LastHandler(self))
      door.deliver(prelude)
      try pipeline.handler(type: ByteStreamHandler.self).detach()
      return multiplexer
    }.get()
  }

  static func http2Configuration(
    window: Int,
    connectionWindow: Int,
    streams: Int,
    headerBytes: Int
  ) -> NIOHTTP2Handler.ConnectionConfiguration {
    var configuration = NIOHTTP2Handler.ConnectionConfiguration()
    configuration.initialSettings = [
      HTTP2Setting(parameter: .maxConcurrentStreams, value: streams),
      HTTP2Setting(parameter: .maxHeaderListSize, value: headerBytes),
      HTTP2Setting(parameter: .initialWindowSize, value: window),
      HTTP2Setting(parameter: .enablePush, value: 0),
    ]
    configuration.targetWindowSize = connectionWindow
    configuration.maximumBufferedControlFrames = 1000
    return configuration
  }
}

/// Lets bytes into the pipeline that were received before it stood, then passes everything on.
private final class PreludeHandler: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias InboundOut = ByteBuffer

  private var context: ChannelHandlerContext?

  func handlerAdded(context: ChannelHandlerContext) { self.context = context }

  func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

  func deliver(_ bytes: [UInt8]) {
    guard let context, !bytes.isEmpty else { return }
    context.fireChannelRead(wrapInboundOut(ByteBuffer(bytes: bytes)))
    context.fireChannelReadComplete()
  }
}
