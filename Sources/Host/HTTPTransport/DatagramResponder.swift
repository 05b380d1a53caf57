// SPDX-License-Identifier: Apache-2.0

package import Addressing
import NIOCore
import NIOPosix

/// Answers datagrams, each by at most one, on a UDP port.
package final class DatagramResponder: Sendable {
  private let channel: any Channel

  private init(_ channel: any Channel) { self.channel = channel }

  /// Starts answering on `endpoint`; port 0 lets the operating system choose.
  ///
  /// `answer` runs on the event loop and must be quick. With `isV6Only` an IPv6 endpoint leaves IPv4
  /// to another responder.
  ///
  /// - Throws: `HTTPTransportError`.
  package static func start(
    on endpoint: Endpoint,
    isV6Only: Bool = false,
    answer: @escaping @Sendable ([UInt8], Endpoint) -> [UInt8]?
  ) async throws -> DatagramResponder {
    do {
      var bootstrap = DatagramBootstrap(group: eventLoops)
      if isV6Only, !endpoint.address.isV4 {
        bootstrap = bootstrap.channelOption(IPv6Option.only, value: 1)
      }
      let channel =
        try await bootstrap
        .channelInitializer { channel in
          channel.eventLoop.makeCompletedFuture {
            try channel.pipeline.syncOperations.addHandler(DatagramHandler(answer))
          }
        }
        .bind(to: endpoint.socketAddress()).get()
      return DatagramResponder(channel)
    } catch {
      throw HTTPTransportError(listening: "UDP \(endpoint)", error)
    }
  }

  /// Where it listens, with the port that the operating system chose.
  package var endpoint: Endpoint? { channel.localAddress.flatMap(Endpoint.init) }

  /// Stops answering.
  package func shutdown() async {
    // Closed already is what we want.
    try? await channel.close()
  }
}

private final class DatagramHandler: ChannelInboundHandler {
  typealias InboundIn = AddressedEnvelope<ByteBuffer>
  typealias OutboundOut = AddressedEnvelope<ByteBuffer>

  private let answer: @Sendable ([UInt8], Endpoint) -> [UInt8]?

  init(_ answer: @escaping @Sendable ([UInt8], Endpoint) -> [UInt8]?) { self.answer = answer }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    let datagram = unwrapInboundIn(data)
    guard let sender = Endpoint(datagram.remoteAddress), context.channel.isWritable,
      let bytes = answer(Array(datagram.data.readableBytesView), sender)
    else { return }
    let reply = AddressedEnvelope(
      remoteAddress: datagram.remoteAddress,
      data: ByteBuffer(bytes: bytes)
    )
    context.write(wrapOutboundOut(reply), promise: nil)
  }

  func channelReadComplete(context: ChannelHandlerContext) { context.flush() }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    // One datagram that cannot be sent must not end the service.
  }
}
