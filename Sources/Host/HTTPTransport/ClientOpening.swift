// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOSSL
import NIOTLS
import Synchronization

/// The certificates that a server showed, between the TLS handler and the stream.
final class CertificateNote: Sendable {
  private let certificates = Mutex<[[UInt8]]>([])

  func note(_ shown: [[UInt8]]) { certificates.withLock { $0 = shown } }

  var shown: [[UInt8]] { certificates.withLock { $0 } }
}

/// Why a connection ended before it became a stream.
final class OpeningFailure: Sendable {
  private let first = Mutex<(any Error)?>(nil)

  func note(_ error: any Error) { first.withLock { $0 = $0 ?? error } }

  var error: (any Error)? { first.withLock { $0 } }
}

/// Stands at the end of a client's pipeline until the connection is up and somebody asks for the
/// stream, then makes it.
///
/// Of several addresses tried at once only one becomes a stream. The asking comes from another
/// thread and may be late: what happened until then (a handshake that is over, bytes that came) is
/// kept for the stream, the end too, and a failure is noted.
final class ClientOpening: ChannelInboundHandler, RemovableChannelHandler {
  typealias InboundIn = ByteBuffer

  private let isTLS: Bool
  private let certificates: CertificateNote
  private let failure: OpeningFailure
  private var context: ChannelHandlerContext?
  private var isHandshakeDone = false
  private var early: [UInt8] = []
  private var hasEnded = false

  init(isTLS: Bool, certificates: CertificateNote, failure: OpeningFailure) {
    self.isTLS = isTLS
    self.certificates = certificates
    self.failure = failure
  }

  func handlerAdded(context: ChannelHandlerContext) { self.context = context }

  func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    early += unwrapInboundIn(data).readableBytesView
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    if case .handshakeCompleted = event as? TLSUserEvent { isHandshakeDone = true }
  }

  func channelInactive(context: ChannelHandlerContext) { hasEnded = true }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    failure.note(error)
    context.close(promise: nil)
  }

  /// The stream, in our place; on the event loop, as soon as the connection is up.
  func makeStream() throws -> ByteStream {
    // It may be on its way down for this already.
    if let error = failure.error { throw HTTPTransportError(reading: error) }
    guard let context else { throw ChannelError.ioOnClosedChannel }
    let stream = ByteStream(
      channel: context.channel,
      isTLS: isTLS,
      credentials: PeerCredentials(of: context.channel)
    )
    stream.noteCertificates(from: certificates)
    try context.pipeline.syncOperations.addHandler(ByteStreamHandler(stream))
    if isHandshakeDone {
      stream.didHandshake(
        context.pipeline.syncOperations.peerCertificate,
        version: context.pipeline.syncOperations.tlsVersionText
      )
    }
    stream.didReceive(early)
    if hasEnded || !context.channel.isActive { stream.didEnd(.success(())) }
    context.pipeline.syncOperations.removeHandler(self, promise: nil)
    return stream
  }
}

extension ChannelPipeline.SynchronousOperations {
  /// The certificate in DER that the other side of TLS showed.
  var peerCertificate: [UInt8]? {
    // Without TLS there is none; and most clients show none.
    let handler = try? handler(type: NIOSSLHandler.self)
    return handler?.peerCertificate.flatMap { try? $0.toDERBytes() }
  }

  /// The version of TLS that both sides agreed on.
  var tlsVersionText: String? {
    // Without TLS there is none.
    switch (try? handler(type: NIOSSLHandler.self))?.tlsVersion {
    case .tlsv1: "1.0"
    case .tlsv11: "1.1"
    case .tlsv12: "1.2"
    case .tlsv13: "1.3"
    case nil: nil
    }
  }
}

extension ByteStream {
  /// Takes the certificates over once the handshake is done.
  func noteCertificates(from note: CertificateNote) {
    state.withLock { $0.certificateNote = note }
  }
}
