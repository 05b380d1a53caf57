// SPDX-License-Identifier: Apache-2.0

import Cryptography
import Foundation
import Testing

@Suite("TLS sessions") struct TLSSessionTests {
  /// Both ends of a connection, each with an exchange of its own.
  final class Pair {
    let exchanges: [TLSExchange]
    var client: TLSSession
    var server: TLSSession
    /// What each end said of what it received last.
    var progress: [TLSSession.Progress] = [.open, .open]

    init() throws {
      exchanges = [try TLSExchange(capacity: 16), try TLSExchange(capacity: 16)]
      client = try TLSSession(
        connecting: .unverifiedClient(),
        over: exchanges[0],
        to: "relay.example"
      )
      server = try TLSSession(
        serving: TLSContext(
          certificates: [Self.der("CERTIFICATE")],
          privateKey: Self.der("PRIVATE KEY")
        ),
        over: exchanges[1]
      )
    }

    static func der(_ label: String) throws -> [UInt8] {
      let text = """
        -----BEGIN CERTIFICATE-----
        MIIBhzCCAS2gAwIBAgIUYC8mpYRF9xs7bdwhcKVCt19Po9UwCgYIKoZIzj0EAwIw
        GDEWMBQGA1UEAwwNcmVsYXkuZXhhbXBsZTAgFw0yNjExMjUxODA1MzZaGA8yMTI2
        MTEwMTE4MDUzNlowGDEWMBQGA1UEAwwNcmVsYXkuZXhhbXBsZTBZMBMGByqGSM49
        AgEGCCqGSM49AwEHA0IABBRj8+HWsCQ/NvJN8tCeovBfQZwIF/sZKH0ce0rUoJY7
        Oodcq4eC1U0I9We+zTFPhhiXpzpbTeoRLKQvBXIhyBajUzBRMB0GA1UdDgQWBBTR
        P+423BQfasUpqN8Kg0qKkfmnkjAfBgNVHSMEGDAWgBTRP+423BQfasUpqN8Kg0qK
        kfmnkjAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0gAMEUCIECxydgxX8CB
        JS9aZ1xCYAECtO9rqI1UQ/Ky7CwEfp+7AiEAzReybxdi6bi/vkJ0pe0UIJxSddv7
        w6uiH+Xt/qUJheM=
        -----END CERTIFICATE-----
        -----BEGIN PRIVATE KEY-----
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgCFK0Vc80M/FfTuRL
        eCyZ7p6FfA1ORygs0tGEE86Gn6WhRANCAAQUY/Ph1rAkPzbyTfLQnqLwX0GcCBf7
        GSh9HHtK1KCWOzqHXKuHgtVNCPVnvs0xT4YYl6c6W03qESykLwVyIcgW
        -----END PRIVATE KEY-----
        """
      let part = try #require(text.components(separatedBy: "-----BEGIN \(label)-----\n").last)
      let body = try #require(part.components(separatedBy: "\n-----END").first)
      return Array(try #require(Data(base64Encoded: body.replacing("\n", with: ""))))
    }

    /// What an end made of everything that the other has for it, in pieces of `size` bytes.
    func carry(toServer: Bool, size: Int = .max) -> [UInt8] {
      let sealed = unsafe exchanges[toServer ? 0 : 1].takeOutput { unsafe Array($0) }
      var plain: [UInt8] = []
      var rest = sealed[...]
      while !rest.isEmpty {
        plain += receive(Array(rest.prefix(size)), toServer: toServer)
        rest = rest.dropFirst(size)
      }
      return plain
    }

    func receive(_ sealed: [UInt8], toServer: Bool) -> [UInt8] {
      let room = UnsafeMutableRawBufferPointer.allocate(
        byteCount: sealed.count + TLSSession.margin,
        alignment: 1
      )
      defer { unsafe room.deallocate() }
      let (count, progress) = unsafe sealed.withUnsafeBytes { bytes in
        unsafe toServer ? server.receive(bytes, into: room) : client.receive(bytes, into: room)
      }
      self.progress[toServer ? 1 : 0] = progress
      return unsafe Array(room[..<count])
    }

    func agree(size: Int = .max) {
      for _ in 0..<4 where !(client.isEstablished && server.isEstablished) {
        _ = carry(toServer: true, size: size)
        _ = carry(toServer: false, size: size)
      }
    }

    func send(_ bytes: [UInt8], toServer: Bool) -> Bool {
      unsafe bytes.withUnsafeBytes { bytes in
        unsafe toServer ? client.send(bytes) : server.send(bytes)
      }
    }
  }

  @Test("Two ends agree, in pieces of any size", arguments: [1, 7, 100, Int.max])
  func agree(size: Int) throws {
    let pair = try Pair()
    pair.agree(size: size)
    let areEstablished = (pair.client.isEstablished, pair.server.isEstablished)
    #expect(areEstablished == (true, true))
  }

  @Test("What is sent arrives whole, whatever its length and its pieces")
  func carries() throws {
    let pair = try Pair()
    pair.agree()
    for (count, size) in [(1, 1), (1400, 50), (16_384, 1000), (70_000, 4096), (300_000, Int.max)] {
      let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) }
      for toServer in [true, false] {
        let isSent = pair.send(bytes, toServer: toServer)
        let arrived = pair.carry(toServer: toServer, size: size)
        #expect(isSent)
        #expect(arrived == bytes)
      }
    }
    #expect(pair.progress == [.open, .open])
  }

  @Test("The end is told, and what was sent before it arrives")
  func ends() throws {
    let pair = try Pair()
    pair.agree()
    _ = pair.send([1, 2, 3], toServer: true)
    pair.client.end()
    let arrived = pair.carry(toServer: true)
    #expect(arrived == [1, 2, 3])
    #expect(pair.progress[1] == .ended)
  }

  @Test("Bytes that are not TLS, or were changed under way, end the session")
  func refuses() throws {
    let stranger = try Pair()
    _ = stranger.receive(Array("GET / HTTP/1.1\r\n\r\n".utf8), toServer: true)
    #expect(stranger.progress[1] != .open)

    let pair = try Pair()
    pair.agree()
    _ = pair.send([UInt8](repeating: 9, count: 100), toServer: true)
    var sealed = unsafe pair.exchanges[0].takeOutput { unsafe Array($0) }
    sealed[60] ^= 1
    let arrived = pair.receive(sealed, toServer: true)
    #expect(arrived.isEmpty)
    #expect(pair.progress[1] != .open && pair.progress[1] != .ended)
  }

  @Test("A key that belongs to another certificate is refused")
  func mismatch() throws {
    #expect(throws: TLSFailure.self) {
      _ = try TLSContext(
        certificates: [Pair.der("CERTIFICATE")],
        privateKey: Ed25519PrivateKeyFixture.der
      )
    }
  }
}

/// A key that belongs to nothing.
enum Ed25519PrivateKeyFixture {
  static let der: [UInt8] =
    [
      0x30, 0x2E, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70, 0x04, 0x22, 0x04,
      0x20,
    ]
    + [UInt8](repeating: 7, count: 32)
}
