// SPDX-License-Identifier: Apache-2.0

import Addressing
import Bytes
import ControlProtocol
import ControlSession
import Foundation
import JSON
import Keys
import Timing

/// Files that tests read.
enum Fixture {
  static let folder = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    .appending(path: "Fixtures")

  static func bytes(_ path: String) throws -> [UInt8] {
    Array(try Data(contentsOf: folder.appending(path: path)))
  }

  static func json(_ path: String) throws -> JSONValue {
    try JSONValue(parsing: try bytes(path))
  }
}

/// A seeded source of chance and damage.
struct SplitMix: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }

  /// `bytes` with up to three of them altered, removed or added.
  mutating func damage(_ bytes: [UInt8]) -> [UInt8] {
    var bytes = bytes
    for _ in 0..<Int.random(in: 1...3, using: &self) where !bytes.isEmpty {
      let index = Int.random(in: 0..<bytes.count, using: &self)
      switch Int.random(in: 0..<4, using: &self) {
      case 0: bytes[index] = UInt8.random(in: 0...255, using: &self)
      case 1: bytes.remove(at: index)
      case 2: bytes.insert(bytes[Int.random(in: 0..<bytes.count, using: &self)], at: index)
      default: bytes[index] ^= 1 << UInt8.random(in: 0..<8, using: &self)
      }
    }
    return bytes
  }
}

/// What a test spells right.
func sure<Value>(_ value: Value?) -> Value {
  guard let value else { preconditionFailure("a test spells a value wrongly") }
  return value
}

func key(_ number: UInt8) -> NodeKey { sure(NodeKey(bytes: [UInt8](repeating: number, count: 32))) }

func discoKey(_ number: UInt8) -> DiscoKey {
  sure(DiscoKey(bytes: [UInt8](repeating: number, count: 32)))
}

/// A moment that is not the origin.
let start = Instant(nanoseconds: 5_000_000_000_000)

func hostinfo(_ name: String = "host") -> Hostinfo {
  var hostinfo = Hostinfo()
  hostinfo.hostname = name
  return hostinfo
}

func response(_ adapt: (inout MapResponse) -> Void) -> MapResponse {
  var response = MapResponse()
  adapt(&response)
  return response
}
