// SPDX-License-Identifier: Apache-2.0

/// Finds the value of the longest prefix that holds an address.
///
/// One hash table for each prefix length in use, tried from the longest: a look-up costs as many
/// probes as there are lengths (one, in a tailnet without subnet routes), however many prefixes
/// there are.
public struct PrefixTable<Value> {
  @usableFromInline struct Level {
    @usableFromInline let length: Int
    @usableFromInline var values: [IPAddress: Value]

    @usableFromInline init(length: Int, values: [IPAddress: Value]) {
      self.length = length
      self.values = values
    }
  }

  @usableFromInline var v4: [Level] = []
  @usableFromInline var v6: [Level] = []
  /// How many prefixes it holds.
  public private(set) var count = 0

  /// An empty table.
  public init() {}

  /// The value of the longest prefix that holds `address`.
  @inlinable public subscript(_ address: IPAddress) -> Value? {
    for level in address.isV4 ? v4 : v6 {
      if let value = level.values[address.masked(to: level.length)] { return value }
    }
    return nil
  }

  /// The value of exactly this prefix, host bits ignored.
  public func value(exactly prefix: IPPrefix) -> Value? {
    let levels = prefix.address.isV4 ? v4 : v6
    return levels.first { $0.length == prefix.length }?.values[prefix.masked.address]
  }

  /// Sets or replaces the value of a prefix, host bits ignored; returns the value it had.
  @discardableResult
  public mutating func insert(_ value: Value, for prefix: IPPrefix) -> Value? {
    let previous =
      prefix.address.isV4
      ? Self.insert(value, for: prefix, into: &v4) : Self.insert(value, for: prefix, into: &v6)
    if previous == nil { count += 1 }
    return previous
  }

  /// Takes a prefix out; returns the value it had.
  @discardableResult
  public mutating func remove(_ prefix: IPPrefix) -> Value? {
    let previous =
      prefix.address.isV4
      ? Self.remove(prefix, from: &v4) : Self.remove(prefix, from: &v6)
    if previous != nil { count -= 1 }
    return previous
  }

  private static func insert(
    _ value: Value,
    for prefix: IPPrefix,
    into levels: inout [Level]
  ) -> Value? {
    let index = levels.firstIndex { $0.length <= prefix.length } ?? levels.count
    if index == levels.count || levels[index].length != prefix.length {
      levels.insert(Level(length: prefix.length, values: [:]), at: index)
    }
    return levels[index].values.updateValue(value, forKey: prefix.masked.address)
  }

  private static func remove(_ prefix: IPPrefix, from levels: inout [Level]) -> Value? {
    guard let index = levels.firstIndex(where: { $0.length == prefix.length }) else { return nil }
    let previous = levels[index].values.removeValue(forKey: prefix.masked.address)
    if levels[index].values.isEmpty { levels.remove(at: index) }
    return previous
  }
}

extension PrefixTable: Sendable where Value: Sendable {}
extension PrefixTable.Level: Sendable where Value: Sendable {}
