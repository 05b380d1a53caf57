// SPDX-License-Identifier: Apache-2.0

internal import Addressing

/// Addresses of one family, from one to another.
struct AddressRange: Hashable, Sendable {
  let first: IPAddress
  let last: IPAddress

  init(_ first: IPAddress, _ last: IPAddress) {
    self.first = first
    self.last = last
  }

  init(_ address: IPAddress) { self.init(address, address) }

  init(_ prefix: IPPrefix) { self.init(prefix.masked.address, prefix.lastAddress) }

  /// An address, a prefix, or two addresses of a family with a hyphen between.
  init?(_ text: String) {
    if let address = IPAddress(text) {
      self.init(address)
    } else if let prefix = IPPrefix(text) {
      self.init(prefix)
    } else {
      let ends = text.split(separator: "-", omittingEmptySubsequences: false)
      guard ends.count == 2, let first = IPAddress(ends[0]), let last = IPAddress(ends[1]),
        first.family == last.family, first <= last
      else { return nil }
      self.init(first, last)
    }
  }

  func contains(_ address: IPAddress) -> Bool {
    address.family == first.family && first <= address && address <= last
  }

  func overlaps(_ other: AddressRange) -> Bool {
    other.first.family == first.family && first <= other.last && other.first <= last
  }

  func contains(_ other: AddressRange) -> Bool { contains(other.first) && contains(other.last) }

  var isHost: Bool { first == last }

  /// The prefix that is exactly this range; nil where there is none.
  var prefix: IPPrefix? {
    (0...first.family.bitWidth).lazy.compactMap { IPPrefix(first, length: $0) }
      .first { $0.masked.address == first && $0.lastAddress == last }
  }

  /// As clients read it: an address, a prefix, or two addresses with a hyphen between.
  var text: String {
    if isHost { return first.description }
    return prefix?.description ?? "\(first)-\(last)"
  }

  static func < (left: AddressRange, right: AddressRange) -> Bool {
    left.first == right.first ? left.last < right.last : left.first < right.first
  }
}

/// Addresses as ranges that neither touch nor overlap, in order.
struct AddressRanges: Hashable, Sendable {
  private(set) var ranges: [AddressRange] = []

  init() {}

  init(_ parts: [AddressRange]) {
    for part in parts.sorted(by: <) {
      guard let last = ranges.last, last.last.family == part.first.family,
        part.first <= last.last || last.last.next == part.first
      else {
        ranges.append(part)
        continue
      }
      if part.last > last.last {
        ranges[ranges.count - 1] = AddressRange(last.first, part.last)
      }
    }
  }

  var isEmpty: Bool { ranges.isEmpty }

  func contains(_ address: IPAddress) -> Bool { overlaps(AddressRange(address)) }

  /// Whether they share an address with `other`: O(log n).
  func overlaps(_ other: AddressRange) -> Bool {
    // The first range that does not end before the other begins.
    var (low, high) = (0, ranges.count)
    while low < high {
      let middle = (low + high) / 2
      if ranges[middle].last < other.first { low = middle + 1 } else { high = middle }
    }
    return low < ranges.count && ranges[low].overlaps(other)
  }

  /// Whether all of `other` lies in them.
  func contains(_ other: AddressRange) -> Bool { ranges.contains { $0.contains(other) } }

  /// These without those of `other`.
  func subtracting(_ other: AddressRanges) -> AddressRanges {
    var left = ranges
    for hole in other.ranges {
      left = left.flatMap { part -> [AddressRange] in
        guard part.overlaps(hole) else { return [part] }
        var rest: [AddressRange] = []
        if part.first < hole.first { rest.append(AddressRange(part.first, hole.first.previous)) }
        if hole.last < part.last { rest.append(AddressRange(hole.last.next, part.last)) }
        return rest
      }
    }
    return AddressRanges(left)
  }

  /// Every address that the network gives: without those that some systems keep for themselves.
  static let tailnet = AddressRanges([
    AddressRange(TailnetRanges.v4), AddressRange(TailnetRanges.v6),
  ])
  .subtracting(AddressRanges([AddressRange(TailnetRanges.chromeOSReserved)]))

  /// What is public: neither private, nor of the network, nor of one link.
  static let internet = AddressRanges([
    AddressRange(IPAddress(v4: 0), IPAddress(v4: .max)),
    AddressRange(
      IPAddress(high: 0x2000_0000_0000_0000, low: 0),
      IPAddress(high: 0x3FFF_FFFF_FFFF_FFFF, low: .max)
    ),
  ]).subtracting(
    AddressRanges([
      AddressRange(IPAddress(10, 0, 0, 0), IPAddress(10, 255, 255, 255)),
      AddressRange(IPAddress(172, 16, 0, 0), IPAddress(172, 31, 255, 255)),
      AddressRange(IPAddress(192, 168, 0, 0), IPAddress(192, 168, 255, 255)),
      AddressRange(IPAddress(169, 254, 0, 0), IPAddress(169, 254, 255, 255)),
      AddressRange(TailnetRanges.v4),
    ])
  )
}

extension IPAddress {
  /// The address before this one; the first has itself.
  var previous: IPAddress {
    if isV4 { return v4Bits == 0 ? self : IPAddress(v4: v4Bits - 1) }
    if low == 0 { return high == 0 ? self : IPAddress(high: high - 1, low: .max) }
    return IPAddress(high: high, low: low - 1)
  }
}
