// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Synchronization

/// The certificates that a server showed, between the TLS handler and the stream.
final class CertificateNote: Sendable {
  private let certificates = Mutex<[[UInt8]]>([])

  func note(_ shown: [[UInt8]]) { certificates.withLock { $0 = shown } }

  var shown: [[UInt8]] { certificates.withLock { $0 } }
}

/// Stands at the end of a client's pipeline until the connection is up, then makes the stream.
///
/// Of several addresses tried at once only one becomes a stream. A handshake may be over or have
/// failed before that: both are kept.
final class ClientOpening: ChannelInboundHandler, RemovableChannelHandler {
  typealias InboundIn = ByteBuffer

  private let isTLS: Bool
  private let certificates: CertificateNote
  private var context: ChannelHandlerContext?

  init(isTLS: Bool, certificates: CertificateNote) {
    self.isTLS = isTLS
    self.certificates = certificates
  }

  func handlerAdded(context: ChannelHandlerContext) { self.context = context }

  func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

  /// The stream, in our place; on the event loop, as soon as the connection is up.
  func makeStream() throws -> ByteStream {
    guard let context else { throw ChannelError.ioOnClosedChannel }
    let stream = ByteStream(
      channel: context.channel,
      isTLS: isTLS,
      credentials: PeerCredentials(of: context.channel)
    )
    stream.noteCertificates(from: certificates)
    try context.pipeline.syncOperations.addHandler(ByteStreamHandler(stream))
    context.pipeline.syncOperations.removeHandler(self, promise: nil)
    return stream
  }
}

extension ByteStream {
  /// Takes the certificates over once the handshake is done.
  func noteCertificates(from note: CertificateNote) {
    state.withLock { $0.certificateNote = note }
  }
}
