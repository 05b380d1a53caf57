// SPDX-License-Identifier: Apache-2.0

public import Tables

/// Finds the value of the longest prefix that holds an address.
///
/// All prefixes lie in one index, named by address and length; the lengths in use are tried from the
/// longest, each only where the address lies between the first and the last prefix of that length. So
/// a look-up costs one probe for an address that has an entry of its own and about one for each wide
/// prefix that could hold it, however many prefixes there are; a change costs one probe. A prefix
/// takes 24 bytes and `Value`, and 11 to 21 bytes of the index.
public struct PrefixTable<Value: Sendable>: Sendable {
  @usableFromInline
  struct Entry: Sendable {
    @usableFromInline var high: UInt64
    @usableFromInline var low: UInt64
    @usableFromInline var code: UInt8
    @usableFromInline var value: Value
  }

  /// The prefixes of one length.
  @usableFromInline
  struct Level: Sendable {
    @usableFromInline let length: Int
    var count = 0
    /// Bounds of what was ever put in while the level was not empty.
    @usableFromInline var first: IPAddress
    @usableFromInline var last: IPAddress
  }

  @usableFromInline var entries: [Entry] = []
  @usableFromInline var index = SlotIndex()
  @usableFromInline let hash = SlotHash()
  /// Longest first.
  @usableFromInline var v4: [Level] = []
  @usableFromInline var v6: [Level] = []

  /// An empty table.
  public init() {}

  /// How many prefixes it holds.
  public var count: Int { entries.count }

  /// The value of the longest prefix that holds `address`.
  @inlinable
  public subscript(_ address: IPAddress) -> Value? {
    let count = address.isV4 ? v4.count : v6.count
    for place in 0..<count {
      let level = address.isV4 ? v4[place] : v6[place]
      let masked = address.masked(to: level.length)
      guard masked.isWithin(level.first, level.last) else { continue }
      if let slot = slot(of: masked, level.length) { return entries[slot].value }
    }
    return nil
  }

  /// The value of exactly this prefix, host bits ignored.
  public func value(exactly prefix: IPPrefix) -> Value? {
    slot(of: prefix.masked.address, prefix.length).map { entries[$0].value }
  }

  /// Sets or replaces the value of a prefix, host bits ignored; returns the value it had.
  @discardableResult
  public mutating func insert(_ value: Value, for prefix: IPPrefix) -> Value? {
    let address = prefix.masked.address
    let code = Self.code(address, prefix.length)
    if let slot = slot(of: address, prefix.length) {
      defer { entries[slot].value = value }
      return entries[slot].value
    }
    index.insert(entries.count, tag: hash.tag(address.high ^ UInt64(code), address.low))
    entries.append(Entry(high: address.high, low: address.low, code: code, value: value))
    if address.isV4 {
      Self.note(address, prefix.length, in: &v4)
    } else {
      Self.note(address, prefix.length, in: &v6)
    }
    return nil
  }

  /// Takes a prefix out; returns the value it had.
  @discardableResult
  public mutating func remove(_ prefix: IPPrefix) -> Value? {
    let address = prefix.masked.address
    guard let slot = slot(of: address, prefix.length) else { return nil }
    let removed = entries[slot]
    index.remove(slot, tag: tag(removed))
    let last = entries.removeLast()
    if slot < entries.count {
      index.move(entries.count, to: slot, tag: tag(last))
      entries[slot] = last
    }
    if address.isV4 {
      Self.forget(prefix.length, in: &v4)
    } else {
      Self.forget(prefix.length, in: &v6)
    }
    return removed.value
  }

  /// Makes room for `capacity` prefixes.
  public mutating func reserve(_ capacity: Int) {
    entries.reserveCapacity(capacity)
    index.reserve(capacity)
  }

  /// Tells lengths of both families apart.
  @inlinable
  static func code(_ address: IPAddress, _ length: Int) -> UInt8 {
    UInt8(truncatingIfNeeded: address.isV4 ? length : length + 64)
  }

  @inlinable
  func slot(of masked: IPAddress, _ length: Int) -> Int? {
    let code = Self.code(masked, length)
    return index.slot(of: hash.tag(masked.high ^ UInt64(code), masked.low)) { slot in
      entries[slot].low == masked.low && entries[slot].high == masked.high
        && entries[slot].code == code
    }
  }

  private func tag(_ entry: Entry) -> UInt32 {
    hash.tag(entry.high ^ UInt64(entry.code), entry.low)
  }

  private static func note(_ address: IPAddress, _ length: Int, in levels: inout [Level]) {
    let place = levels.firstIndex { $0.length <= length } ?? levels.count
    if place == levels.count || levels[place].length != length {
      levels.insert(Level(length: length, first: address, last: address), at: place)
    }
    levels[place].count += 1
    levels[place].first = min(levels[place].first, address)
    levels[place].last = max(levels[place].last, address)
  }

  private static func forget(_ length: Int, in levels: inout [Level]) {
    guard let place = levels.firstIndex(where: { $0.length == length }) else { return }
    levels[place].count -= 1
    if levels[place].count == 0 { levels.remove(at: place) }
  }
}

extension IPAddress {
  /// Whether it lies from `first` to `last`, all of one family.
  @inlinable
  func isWithin(_ first: IPAddress, _ last: IPAddress) -> Bool {
    if isV4 { return low >= first.low && low <= last.low }
    return (high > first.high || high == first.high && low >= first.low)
      && (high < last.high || high == last.high && low <= last.low)
  }
}
