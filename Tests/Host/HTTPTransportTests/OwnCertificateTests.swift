// SPDX-License-Identifier: Apache-2.0

import NIOSSL
import Testing
import Timing

@testable import HTTPTransport

@Suite("Certificates of our own")
struct OwnCertificateTests {
  private let validity = Timestamp(seconds: 1_700_000_000)..<Timestamp(seconds: 3_000_000_000)

  private func make(_ name: String, host: String? = nil) throws -> OwnCertificate {
    try OwnCertificate(
      .p256,
      commonName: name,
      serialNumber: [0xFF, 1],
      validity: validity,
      host: host
    )
  }

  @Test(
    "It is for the name or address of its host and for no other",
    arguments: ["relay.example", String(repeating: "a.", count: 125) + "aaa"]
  )
  func names(host: String) throws {
    let made = try make(host, host: host)
    let names = CertificateNames(
      of: try NIOSSLCertificate(bytes: made.certificateDER, format: .der)
    )
    #expect(names.contain(host))
    #expect(!names.contain("other.example"))
    #expect(made.commonName == host)
    #expect(made.validity == validity)
  }

  @Test("It is for an address, in four bytes or sixteen", arguments: ["192.0.2.1", "2001:db8::1"])
  func addresses(host: String) throws {
    let der = try make(host, host: host).certificateDER
    let name: [UInt8] =
      host.contains(":")
      ? [0x30, 18, 0x87, 16, 0x20, 1, 0x0D, 0xB8] + Array(repeating: 0, count: 11) + [1]
      : [0x30, 6, 0x87, 4, 192, 0, 2, 1]
    #expect(der.indices.contains { der[$0...].starts(with: name) })
  }

  @Test("It is read as it was written, with a name of any length and either kind of key")
  func roundTrip() throws {
    for kind in [OwnCertificate.KeyKind.p256, .ed25519] {
      let name = String(repeating: "n", count: 100)
      let made = try OwnCertificate(
        kind,
        commonName: name,
        serialNumber: [2],
        validity: validity
      )
      let read = try OwnCertificate(pem: made.pem)
      #expect(read.certificateDER == made.certificateDER)
      #expect(read.keyDER == made.keyDER)
      #expect(read.commonName == name)
      #expect(read.validity == validity)
      #expect(read.pem == made.pem)
      _ = try NIOSSLPrivateKey(bytes: made.keyDER, format: .der)
    }
  }

  @Test("A text that was cut anywhere, or holds another key, is refused")
  func damaged() throws {
    let (one, other) = (try make("one").pem, try make("other").pem)
    // What follows the last line is its end.
    for length in 0..<one.utf8.count - 1 {
      #expect(throws: HTTPTransportError.self) {
        try OwnCertificate(pem: String(one.prefix(length)))
      }
    }
    let beginning = "-----BEGIN PRIVATE KEY-----"
    let parts = try [one, other].map { try #require($0.firstRange(of: beginning)) }
    let mixed = one[..<parts[0].lowerBound] + other[parts[1].lowerBound...]
    #expect(throws: HTTPTransportError.self) { try OwnCertificate(pem: String(mixed)) }
  }

  @Test(
    "A host that no certificate can name is refused",
    arguments: ["two words", "häuser.example"]
  )
  func unfitHosts(host: String) {
    #expect(throws: HTTPTransportError.self) { try make("name", host: host) }
  }
}
