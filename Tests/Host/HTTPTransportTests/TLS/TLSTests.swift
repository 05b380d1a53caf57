// SPDX-License-Identifier: Apache-2.0

import Addressing
import Cryptography
import Foundation
import Testing

@testable import HTTPTransport

@Suite("TLS", .timeLimit(.minutes(10)), .onBothCarriers)
struct TLSTests {
  static func server(_ name: String = "server", key: String = "server") throws -> TLSServerSettings
  {
    try TLSServerSettings(
      certificateFile: World.certificate("\(name).pem"),
      keyFile: World.certificate("\(key).key")
    )
  }

  /// The DER in a PEM file.
  static func der(_ name: String) throws -> [UInt8] {
    let lines = try World.text(name).split(separator: "\n").filter { !$0.hasPrefix("-----") }
    return Array(try #require(Data(base64Encoded: lines.joined())))
  }

  static func authority(_ hostname: String) throws -> TLSClientSettings {
    .authorities(pem: try World.text("authority.pem"), hostname: hostname)
  }

  /// How a dial to a server that shows `certificate` ends; nil when it succeeds.
  static func dial(
    _ settings: TLSClientSettings,
    to certificate: String = "server",
    key: String = "server"
  ) async throws -> HTTPTransportError.Reason? {
    try await World.withServer(tls: try server(certificate, key: key)) { _, port in
      do {
        let stream = try await World.dial(port, tls: settings)
        try await stream.write(Array("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".utf8))
        let text = String(decoding: await World.readAll(stream), as: UTF8.self)
        #expect(text.hasSuffix("GET / 0\n"))
        return nil
      } catch let error as HTTPTransportError {
        #expect(error.description.hasPrefix("cannot reach 127.0.0.1:\(port): "))
        return error.reason
      }
    }
  }

  @Test("A certificate that its authority vouches for is trusted by name and by address")
  func authorities() async throws {
    #expect(try await Self.dial(try Self.authority("server.test")) == nil)
    #expect(try await Self.dial(try Self.authority("127.0.0.1")) == nil)
  }

  @Test("A wrong name, an expired certificate and one without authority are not trusted")
  func untrusted() async throws {
    #expect(try await Self.dial(try Self.authority("other.test")) == .untrusted)
    #expect(try await Self.dial(try Self.authority("server.test"), to: "expired") == .untrusted)
    #expect(
      try await Self.dial(try Self.authority("self.test"), to: "self", key: "self") == .untrusted
    )
  }

  @Test(
    "A certificate is for a name by its labels, and a star for one of them",
    arguments: [
      ("a.test", "a.test", true), ("a.test", "A.Test.", true), ("a.test", "b.a.test", false),
      ("*.a.test", "b.a.test", true), ("*.a.test", "a.test", false),
      ("*.a.test", "c.b.a.test", false), ("*.test", "a.test", false), ("*", "test", false),
      ("b*.a.test", "bc.a.test", false), ("b.*.test", "b.a.test", false), ("", "", false),
      (".a.test", ".a.test", false), ("a..test", "a..test", false),
    ]
  )
  func names(pattern: String, name: String, isFor: Bool) {
    #expect(CertificateNames([pattern]).contain(name) == isFor)
    #expect(CertificateNames(["other.test", pattern]).contain(name) == isFor)
    #expect(!CertificateNames([]).contain(name))
  }

  @Test("The system's roots do not know our authority, whether asked by name or by address")
  func systemRoots() async throws {
    for name in ["server.test", "127.0.0.1"] {
      #expect(try await Self.dial(.systemRoots(hostname: name)) == .untrusted)
    }
  }

  @Test("A pinned certificate is trusted whatever it says, and no other is")
  func pinned() async throws {
    let pin = SHA256.hash(try Self.der("self.pem"))
    for name in ["anything.test", "127.0.0.1", nil, ""] {
      let settings = TLSClientSettings.pinned(sha256: pin, hostname: name)
      let result = try await Self.dial(settings, to: "self", key: "self")
      #expect(result == nil)
      let other = try await Self.dial(settings)
      #expect(other == .untrusted)
    }
    for wrong in [[], Array(pin.dropLast()), pin + [0], [UInt8](repeating: 0, count: 32)] {
      let settings = TLSClientSettings.pinned(sha256: wrong, hostname: nil)
      let result = try await Self.dial(settings, to: "self", key: "self")
      #expect(result == .untrusted)
    }
  }

  @Test("Whom a client does not verify, it knows by the certificate all the same")
  func unverified() async throws {
    let settings = try Self.server("self", key: "self")
    try await World.withServer(tls: settings) { _, port in
      let stream = try await World.dial(port, tls: .unverified(hostname: "whoever.test"))
      #expect(stream.isTLS)
      #expect(stream.peerCertificates == [try Self.der("self.pem")])
      #expect(stream.peerCertificateSHA256 == settings.certificateSHA256)
      #expect(settings.certificateSHA256 == SHA256.hash(try Self.der("self.pem")))
      await stream.close()
    }
  }

  @Test("The handler is told that the connection is encrypted; large bodies cross both ways")
  func request() async throws {
    let handler: HTTPHandler = { request in
      guard request.remote.isTLS else { return HTTPResponse(status: 500) }
      return HTTPResponse(status: 200, body: .bytes(Array(request.body.reversed())))
    }
    var limits = HTTPLimits()
    limits.maximumBodyBytes = 3_000_000
    try await World.withServer(limits: limits, tls: try Self.server(), handler: handler) {
      _,
      port in
      let body = (0..<2_000_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
      let response = try await HTTPClient().request(
        "POST",
        url: "https://127.0.0.1:\(port)/",
        body: body,
        tls: try Self.authority("server.test")
      )
      #expect(response.status == 200)
      #expect(try await response.collect(upTo: 3_000_000) == body.reversed())
    }
  }

  @Test("A server can be made of PEM, of DER and of files with certificates behind")
  func sources() async throws {
    let pem = try TLSServerSettings(
      certificatePEM: World.text("self.pem"),
      keyPEM: World.text("self.key")
    )
    let followed = try TLSServerSettings(
      certificateFile: World.certificate("self.pem"),
      keyFile: World.certificate("self.key"),
      followedBy: [try Self.der("authority.pem")]
    )
    #expect(pem.certificateSHA256 == followed.certificateSHA256)
    try await World.withServer(tls: followed) { _, port in
      let stream = try await World.dial(port, tls: .unverified(hostname: nil))
      #expect(stream.peerCertificates == [try Self.der("self.pem"), try Self.der("authority.pem")])
      await stream.close()
    }
  }

  @Test("Files that are missing, no certificate, or of another key are told with their names")
  func badFiles() throws {
    let good = World.certificate("server.pem")
    let key = World.certificate("server.key")
    let bad = [
      ("/nonexistent.pem", key), (good, "/nonexistent.key"), (key, key), (good, good),
      (good, World.certificate("self.key")), (World.certificate("README.md"), key),
    ]
    for (certificate, key) in bad {
      do throws(HTTPTransportError) {
        let settings = try TLSServerSettings(certificateFile: certificate, keyFile: key)
        Issue.record("\(certificate) with \(key) made \(settings.certificateSHA256)")
      } catch {
        #expect(error.reason == .system)
        #expect(
          error.description.hasPrefix(
            "cannot use the certificate \(certificate) with the key \(key)"
          )
        )
      }
    }
    #expect(throws: HTTPTransportError.self) {
      _ = try TLSServerSettings(certificatesDER: [], keyDER: [])
    }
    #expect(throws: HTTPTransportError.self) {
      _ = try TLSServerSettings(certificatePEM: "", keyPEM: "")
    }
  }

  @Test("A client that speaks no TLS, or nothing, is cut off; others are served meanwhile")
  func plainClient() async throws {
    var limits = HTTPLimits()
    limits.headerTimeout = .seconds(5)
    try await World.withServer(limits: limits, tls: try Self.server()) { server, port in
      let silent = try await World.dial(port)
      let plain = try await World.exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n", port: port)
      #expect(!plain.contains("HTTP"))
      let half = try await World.dial(port)
      try await half.write([0x16, 0x03, 0x01, 0x02, 0x00, 0x01])
      let stream = try await World.dial(port, tls: try Self.authority("server.test"))
      try await stream.write(Array("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".utf8))
      #expect(await World.readAll(stream).count > 0)
      _ = await World.readAll(silent)
      _ = await World.readAll(half)
      while server.connectionCount > 0, !Task.isCancelled { await Task.yield() }
    }
  }

  @Test("A server that speaks no TLS, hangs up or says nothing is an error in time")
  func badServer() async throws {
    let settings = try Self.authority("server.test")
    for greeting in ["", "HTTP/1.1 400 Bad Request\r\n\r\n", "\u{16}\u{3}\u{3}"] {
      try await World.withListener { stream in
        _ = try? await stream.read()
        try? await stream.write(Array(greeting.utf8))
      } during: { port in
        await #expect(throws: HTTPTransportError.self) {
          _ = try await World.dial(port, tls: settings)
        }
      }
    }
    let release = Signal()
    try await World.withListener { _ in
      await release.wait()
    } during: { port in
      do {
        _ = try await Dialer().dial(
          host: "127.0.0.1",
          port: port,
          tls: settings,
          timeout: .milliseconds(100)
        )
        Issue.record("silence counted as a handshake")
      } catch let error as HTTPTransportError {
        #expect(error.reason == .timedOut)
      }
      release.set()
    }
  }
}
