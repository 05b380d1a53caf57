// SPDX-License-Identifier: Apache-2.0

import ControlProtocol
import JSON
import Keys
import TestSupport
import Testing

@Suite("The early payload")
struct EarlyNoiseTests {
  static func vectorPayload() throws -> [UInt8] {
    let records = try Fixture.json("Vectors/control_noise.json")["records"]?.array
    return try #require(records?.first { $0["dir"] == "s2c" }).hex("plaintext")
  }

  @Test("The payload of the vectors is read, and what follows belongs to HTTP/2")
  func vector() throws {
    let payload = try Self.vectorPayload()
    var reader = EarlyNoiseReader()
    let rest = try reader.receive(payload + [0, 0, 0, 4, 0])
    #expect(rest == [0, 0, 0, 4, 0])
    let early = try #require(reader.payload)
    #expect(early.payload == payload)
    let later = try reader.receive([9])
    #expect(later == [9])
  }

  @Test("It may come byte by byte")
  func dripFeed() throws {
    var reader = EarlyNoiseReader()
    var rest: [UInt8] = []
    for byte in try Self.vectorPayload() + [1, 2] { rest += try reader.receive([byte]) }
    #expect(rest == [1, 2])
    #expect(reader.payload != nil)
  }

  @Test("Without it everything belongs to HTTP/2, from the first byte that differs")
  func absent() throws {
    let settings: [UInt8] = [0, 0, 0, 4, 0, 0, 0, 0, 0]
    var whole = EarlyNoiseReader()
    let rest = try whole.receive(settings)
    #expect(rest == settings && whole.isDone && whole.payload == nil)
    var reader = EarlyNoiseReader()
    let none = try reader.receive([0xFF, 0xFF])
    #expect(none.isEmpty && !reader.isDone)
    let all = try reader.receive([0])
    #expect(all == [0xFF, 0xFF, 0] && reader.payload == nil)
  }

  @Test("A payload that is too long or no JSON is refused")
  func refused() throws {
    let magic: [UInt8] = [0xFF, 0xFF, 0xFF, 0x54, 0x53]
    var large = EarlyNoiseReader()
    #expect(throws: EarlyNoiseError.tooLarge((10 << 20) + 1)) {
      try large.receive(magic + [0, 0xA0, 0, 1])
    }
    var broken = EarlyNoiseReader()
    #expect(throws: EarlyNoiseError.self) { try broken.receive(magic + [0, 0, 0, 1, 0x7B]) }
  }
}
