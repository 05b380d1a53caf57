// SPDX-License-Identifier: Apache-2.0

import Cryptography
import NIOCore
import NIOPosix
import NIOSSL
import NIOTLS
import Synchronization
import Testing
import Timing

@testable import HTTPTransport

@Suite("Answers to an authority's challenge in TLS", .timeLimit(.minutes(10)))
struct ChallengeTests {
  private let validity = Timestamp(seconds: 1_700_000_000)..<Timestamp(seconds: 3_000_000_000)
  private let digest = SHA256.hash(Array("token.thumbprint".utf8))

  private func answer() throws -> OwnCertificate {
    try OwnCertificate(
      .p256,
      commonName: "relay.test",
      serialNumber: [1],
      validity: validity,
      host: "relay.test",
      answer: digest
    )
  }

  /// What a client saw of a server.
  private struct Sight {
    var certificate: [UInt8]?
    var agreed: String?
    /// Whether the server ended the connection by itself.
    var isEnded = false
  }

  /// Notes what TLS agreed on, and ends the connection where the server does not.
  private final class Look: ChannelInboundHandler, Sendable {
    typealias InboundIn = ByteBuffer

    let sight = Mutex(Sight())

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
      guard case .handshakeCompleted(let agreed) = event as? TLSUserEvent else { return }
      sight.withLock { $0.agreed = agreed }
      if agreed == nil { context.close(promise: nil) }
    }

    func channelInactive(context: ChannelHandlerContext) {
      sight.withLock { $0.isEnded = $0.agreed != nil }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
      context.close(promise: nil)
    }
  }

  /// Looks at a server, offering these protocols.
  private func look(at port: UInt16, offering protocols: [String]) async throws -> Sight {
    var configuration = TLSConfiguration.makeClientConfiguration()
    configuration.certificateVerification = .noHostnameVerification
    configuration.applicationProtocols = protocols
    let context = try NIOSSLContext(configuration: configuration)
    let look = Look()
    let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          let tls = try NIOSSLClientHandler(context: context, serverHostname: "relay.test") {
            certificates,
            promise in
            // A certificate that cannot be written again is none.
            look.sight.withLock { $0.certificate = try? certificates.first?.toDERBytes() }
            promise.succeed(.certificateVerified)
          }
          try channel.pipeline.syncOperations.addHandlers(tls, look)
        }
      }
      .connect(host: "127.0.0.1", port: Int(port)).get()
    try await channel.closeFuture.get()
    return look.sight.withLock { $0 }
  }

  @Test("The certificate says what answers the challenge, and that nobody may overlook it")
  func certificate() throws {
    let der = try answer().certificateDER
    // 1.3.6.1.5.5.7.1.31, critical, and a string of bytes within one.
    let said: [UInt8] =
      [6, 8, 0x2B, 6, 1, 5, 5, 7, 1, 31, 1, 1, 0xFF, 4, 34, 4, 32] + digest
    #expect(der.indices.contains { der[$0...].starts(with: said) })
    let names = CertificateNames(of: try NIOSSLCertificate(bytes: der, format: .der))
    #expect(names.patterns == ["relay.test"])
  }

  @Test("Only who asks for it alone sees the answer, and nothing follows; all others see no change")
  func shown() async throws {
    let answer = try answer()
    let settings = try TLSTests.server()
    let usual = settings.certificateSHA256
    let challenged = try TLSTests.server()
    try challenged.answer(with: answer)
    try await World.$isOnLoops.withValue(true) {
      try await World.withServer(tls: settings) { _, port in
        // Nobody has challenged us yet.
        let early = try await look(at: port, offering: ["acme-tls/1"])
        #expect(early.certificate.map(SHA256.hash) == usual && early.agreed == nil)

        settings.replace(with: challenged)
        let asked = try await look(at: port, offering: ["acme-tls/1"])
        #expect(asked.certificate == answer.certificateDER)
        #expect(asked.agreed == "acme-tls/1" && asked.isEnded)
        for protocols in [[], ["http/1.1"], ["acme-tls/1", "http/1.1"], ["acme-tls/10"]] {
          let other = try await look(at: port, offering: protocols)
          #expect(other.certificate.map(SHA256.hash) == usual && other.agreed == nil)
        }

        settings.replace(with: try TLSTests.server())
        let late = try await look(at: port, offering: ["acme-tls/1"])
        #expect(late.certificate.map(SHA256.hash) == usual && late.agreed == nil)
      }
    }
  }

  @Test("A connection that began before the answer was taken away ends as it began")
  func replaced() async throws {
    let settings = try TLSTests.server()
    try await World.$isOnLoops.withValue(true) {
      try await World.withServer(tls: settings) { _, port in
        for _ in 0..<20 {
          let challenged = try TLSTests.server()
          try challenged.answer(with: try answer())
          settings.replace(with: challenged)
          async let sight = look(at: port, offering: ["acme-tls/1"])
          settings.replace(with: try TLSTests.server())
          _ = try await sight
        }
      }
    }
  }
}
