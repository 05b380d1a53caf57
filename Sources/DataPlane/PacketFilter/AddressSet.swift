// SPDX-License-Identifier: Apache-2.0

public import Addressing

/// Any set of addresses of both families, as disjoint spans in order.
///
/// Rules name prefixes, single addresses and ranges alike; all become spans, and membership is a
/// binary search.
public struct AddressSet: Hashable, Sendable {
  private var v4: [NumberSpan<UInt128>] = []
  private var v6: [NumberSpan<UInt128>] = []

  /// The set of no address.
  public init() {}

  /// The union of `prefixes`, host bits ignored.
  public init(_ prefixes: some Sequence<IPPrefix>) {
    for prefix in prefixes {
      insert(prefix.masked.address, through: prefix.lastAddress)
    }
    normalise()
  }

  /// The addresses from `first` to `last`; empty when they are of two families or out of order.
  public init(from first: IPAddress, through last: IPAddress) {
    guard first.family == last.family, first <= last else { return }
    insert(first, through: last)
  }

  /// Every address of both families.
  public static let everything = AddressSet([.everything(.v4), .everything(.v6)])

  /// Whether no address is in it.
  public var isEmpty: Bool { v4.isEmpty && v6.isEmpty }

  /// Whether it has an address of `family`.
  public func hasAny(of family: IPAddress.Family) -> Bool {
    family == .v4 ? !v4.isEmpty : !v6.isEmpty
  }

  /// Whether it has all addresses of `family`.
  public func hasAll(of family: IPAddress.Family) -> Bool {
    family == .v4
      ? v4.first == NumberSpan(first: 0, last: UInt128(UInt32.max))
      : v6.first == NumberSpan(first: 0, last: .max)
  }

  /// Whether `address` is in it.
  public func contains(_ address: IPAddress) -> Bool {
    (address.isV4 ? v4 : v6).has(address.number)
  }

  /// How many spans it takes to say what is in it.
  var spanCount: Int { v4.count + v6.count }

  /// Adds the members of `other`.
  public mutating func formUnion(_ other: AddressSet) {
    v4 += other.v4
    v6 += other.v6
    normalise()
  }

  /// Whether it has an address of `prefix`.
  func overlaps(_ prefix: IPPrefix) -> Bool {
    let spans = prefix.address.isV4 ? v4 : v6
    let place = spans.firstSpan(endingAtOrAfter: prefix.masked.address.number)
    return place < spans.count && spans[place].first <= prefix.lastAddress.number
  }

  /// The fewest prefixes that make up the set, in order.
  public var prefixes: [IPPrefix] { prefixes(of: .v4) + prefixes(of: .v6) }

  /// The fewest prefixes that make up what it has of `family`, in order.
  func prefixes(of family: IPAddress.Family) -> [IPPrefix] {
    (family == .v4 ? v4 : v6).flatMap { Self.prefixes($0, family) }
  }

  private mutating func insert(_ first: IPAddress, through last: IPAddress) {
    let span = NumberSpan(first: first.number, last: last.number)
    if first.isV4 { v4.append(span) } else { v6.append(span) }
  }

  private mutating func normalise() {
    v4 = v4.merged()
    v6 = v6.merged()
  }

  private static func prefixes(
    _ span: NumberSpan<UInt128>,
    _ family: IPAddress.Family
  ) -> [IPPrefix] {
    var result: [IPPrefix] = []
    var first = span.first
    while true {
      var hostBits = min(first.trailingZeroBitCount, family.bitWidth)
      while hostBits > 0, first | lowBits(hostBits) > span.last { hostBits -= 1 }
      let last = first | lowBits(hostBits)
      if let prefix = IPPrefix(IPAddress(first, family), length: family.bitWidth - hostBits) {
        result.append(prefix)
      }
      guard last < span.last else { return result }
      first = last + 1
    }
  }

  private static func lowBits(_ count: Int) -> UInt128 {
    count == 128 ? .max : (1 << UInt128(count)) - 1
  }
}

extension IPAddress {
  /// Its bits as a number.
  var number: UInt128 { UInt128(high) << 64 | UInt128(low) }

  /// The address of `family` whose bits are `number`.
  init(_ number: UInt128, _ family: Family) {
    let low = UInt64(truncatingIfNeeded: number)
    self =
      family == .v4
      ? IPAddress(v4: UInt32(truncatingIfNeeded: low))
      : IPAddress(high: UInt64(truncatingIfNeeded: number >> 64), low: low)
  }
}
