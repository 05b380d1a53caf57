// SPDX-License-Identifier: Apache-2.0

import Addressing
import JSON
import Keys
import Timing

extension JSONReader {
  /// A public key; what is not one is refused, whatever its prefix.
  mutating func key<Key: PublicKey>(_: Key.Type = Key.self) throws(JSONError) -> Key {
    try text(Key.self, "\(Key.prefix) key")
  }

  /// A time; the zero time is none.
  mutating func timestamp() throws(JSONError) -> Timestamp? {
    let time = try exactTimestamp()
    return time.isZero ? nil : time
  }

  /// A time, the zero time included.
  mutating func exactTimestamp() throws(JSONError) -> Timestamp {
    guard let time = Timestamp(try string()) else { throw invalid("RFC 3339 time") }
    return time
  }

  /// An address; empty text is none.
  mutating func address() throws(JSONError) -> IPAddress? {
    let text = try string()
    if text.isEmpty { return nil }
    guard let address = IPAddress(text) else { throw invalid("IP address") }
    return address
  }

  mutating func addresses() throws(JSONError) -> [IPAddress] {
    try list { (reader) throws(JSONError) in try reader.text(IPAddress.self, "IP address") }
  }

  mutating func prefixes() throws(JSONError) -> [IPPrefix] {
    try list { (reader) throws(JSONError) in try reader.text(IPPrefix.self, "IP prefix") }
  }

  mutating func endpoints() throws(JSONError) -> [Endpoint] {
    try list { (reader) throws(JSONError) in try reader.text(Endpoint.self, "address and port") }
  }

  /// Capabilities and their values; null for no values.
  mutating func capabilityMap() throws(JSONError) -> [String: [[UInt8]]] {
    try dictionary { (reader) throws(JSONError) in
      var values: [[UInt8]] = []
      guard try !reader.null() else { return values }
      try reader.array { (reader) throws(JSONError) in values.append(try reader.rawValue()) }
      return values
    }
  }

  /// Yes or no by the number of a node; null is no.
  mutating func nodeFlags() throws(JSONError) -> [Int64: Bool] {
    try dictionary(
      key: { Int64($0) },
      value: { (reader) throws(JSONError) in try reader.null() ? false : try reader.bool() }
    )
  }

  /// Regions by number; those that are null are left out.
  mutating func regions() throws(JSONError) -> [Int: DERPRegion] {
    let regions = try dictionary(
      key: { Int($0) },
      value: { (reader) throws(JSONError) -> DERPRegion? in
        try reader.null() ? nil : try DERPRegion(reading: &reader)
      }
    )
    return regions.compactMapValues { $0 }
  }

  mutating func regionScores() throws(JSONError) -> [Int: Double] {
    try dictionary(
      key: { Int($0) },
      value: { (reader) throws(JSONError) in try reader.null() ? 0 : try reader.double() }
    )
  }

  mutating func resolverRoutes() throws(JSONError) -> [String: [Resolver]] {
    try dictionary { (reader) throws(JSONError) in try reader.list() }
  }

  mutating func packetFilters() throws(JSONError) -> [String: [FilterRule]?] {
    try dictionary { (reader) throws(JSONError) -> [FilterRule]? in
      try reader.null() ? nil : try reader.list()
    }
  }

  mutating func displayMessages() throws(JSONError) -> [String: DisplayMessage?] {
    try dictionary { (reader) throws(JSONError) -> DisplayMessage? in
      try reader.null() ? nil : try DisplayMessage(reading: &reader)
    }
  }
}
