// SPDX-License-Identifier: Apache-2.0

import Coordination
import Cryptography
import Testing

@testable import CoordinationServer

@Suite("Addresses of requests")
struct RequestTargetTests {
  @Test("Path and query are taken apart and unquoted")
  func parts() throws {
    let target = try #require(RequestTarget("/api/v1/node/a%20b?user=x%26y&flag&name=1+2&name=3"))
    #expect(target.path == "/api/v1/node/a b")
    #expect(target.segments == ["api", "v1", "node", "a b"])
    #expect(target.value("user") == "x&y" && target.value("flag") == "")
    #expect(target.value("name") == "1 2" && target.value("other") == nil)
  }

  @Test(
    "What cannot be an address is none",
    arguments: ["", "*", "http://x/", "/%", "/%4", "/%zz", "/%ff%fe", "/?a=%", "/?%c3=1"]
  )
  func refused(text: String) {
    #expect(RequestTarget(text) == nil)
    #expect(RequestTarget("/" + String(repeating: "x", count: 9000)) == nil)
  }

  @Test("Any damage to an address, a login or a key is read or refused, and crashes nothing")
  func damage() {
    var entropy = Entropy(seed: 11)
    let samples = [
      "/register/0123456789abcdef0123456789abcdef?x=%41&y=%e2%82%ac",
      LoginID(using: &entropy).description,
      AuthSecret(using: &entropy).text,
    ]
    for sample in samples {
      for end in 0...sample.utf8.count { read(Array(sample.utf8.prefix(end))) }
      for _ in 0..<3000 {
        var bytes = Array(sample.utf8)
        for _ in 0..<Int.random(in: 1...3, using: &entropy) where !bytes.isEmpty {
          let index = Int.random(in: 0..<bytes.count, using: &entropy)
          switch Int.random(in: 0..<3, using: &entropy) {
          case 0: bytes[index] = UInt8.random(in: 0...255, using: &entropy)
          case 1: bytes.remove(at: index)
          default: bytes.insert(UInt8.random(in: 0x20...0x7E, using: &entropy), at: index)
          }
        }
        read(bytes)
      }
    }
  }

  private func read(_ bytes: [UInt8]) {
    let text = String(decoding: bytes, as: UTF8.self)
    if let target = RequestTarget(text) { #expect(target.path.utf8.count <= text.utf8.count * 3) }
    if let login = LoginID(text) { #expect(login.description == text) }
    if let secret = AuthSecret(text) { #expect(secret.text == text) }
  }

  @Test("Logins have names of 128 bits that nobody guesses from another")
  func unguessable() {
    var entropy = Entropy.system
    let names = (0..<2000).map { _ in LoginID(using: &entropy).description }
    #expect(Set(names).count == names.count && names.allSatisfy { $0.utf8.count == 32 })
    // Every digit takes every value somewhere: nothing in the name is fixed.
    for place in 0..<32 {
      #expect(Set(names.map { Array($0.utf8)[place] }).count == 16, "digit \(place)")
    }
  }
}
