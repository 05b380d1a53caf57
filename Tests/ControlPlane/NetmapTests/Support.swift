// SPDX-License-Identifier: Apache-2.0

import Addressing
import ControlProtocol
import Foundation
import JSON
import Keys
import Netmap
import Timing

/// Files that tests read.
enum Fixture {
  static let folder = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    .appending(path: "Fixtures")

  static func bytes(_ path: String) throws -> [UInt8] {
    Array(try Data(contentsOf: folder.appending(path: path)))
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

  /// Whether something happens that happens once in `count` times.
  mutating func once(in count: Int) -> Bool { Int.random(in: 0..<count, using: &self) == 0 }

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

/// The time at which tests take place.
let noon = Timestamp(seconds: 1_800_000_000)

/// What a test spells right.
func sure<Value>(_ value: Value?) -> Value {
  guard let value else { preconditionFailure("a test spells a value wrongly") }
  return value
}

func key(_ number: UInt8) -> NodeKey { sure(NodeKey(bytes: [UInt8](repeating: number, count: 32))) }

func discoKey(_ number: UInt8) -> DiscoKey {
  sure(DiscoKey(bytes: [UInt8](repeating: number, count: 32)))
}

func prefixes(_ texts: String...) -> [IPPrefix] { texts.map { sure(IPPrefix($0)) } }

func address(_ text: String) -> IPAddress { sure(IPAddress(text)) }

/// The node of that number, with a key and an address that follow from it.
func node(_ number: UInt8, _ adapt: (inout Node) -> Void = { _ in }) -> Node {
  var node = Node(
    id: Int64(number),
    stableID: "n\(number)",
    name: "host\(number).tail.example.",
    user: 1,
    key: key(number),
    discoKey: discoKey(number),
    addresses: prefixes("100.64.0.\(number)/32", "fd7a:115c:a1e0::\(number)/128"),
    machineAuthorized: true
  )
  adapt(&node)
  return node
}

func response(_ adapt: (inout MapResponse) -> Void) -> MapResponse {
  var response = MapResponse()
  adapt(&response)
  return response
}

func response(_ json: String) throws -> MapResponse { try MapResponse(json: Array(json.utf8)) }

/// The map of node 1 with peers 2 up to `last`.
func network(to last: UInt8 = 4) -> NetworkMap {
  var map = NetworkMap()
  _ = map.apply(
    response {
      $0.node = node(1)
      $0.peers = (2...last).map { node($0) }
      $0.packetFilter = []
      $0.derpMap = DERPMap(regions: [1: DERPRegion(regionID: 1)])
      $0.dnsConfig = DNSConfig(domains: ["tail.example"])
      $0.domain = "example"
      $0.userProfiles = [UserProfile(id: 1, loginName: "ada")]
    },
    at: noon
  )
  return map
}

extension NetworkMap {
  /// Applies JSON and tells what changed.
  mutating func apply(_ json: String, at now: Timestamp = noon) throws -> NetmapChange {
    apply(try response(json), at: now)
  }

  /// Applies and tells what changed.
  mutating func apply(_ adapt: (inout MapResponse) -> Void) -> NetmapChange {
    apply(response(adapt), at: noon)
  }
}
