// SPDX-License-Identifier: Apache-2.0

import Addressing
import ControlProtocol
import Foundation
import JSON
import Keys
import Netmap
import Timing

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
