// SPDX-License-Identifier: Apache-2.0

/// An address and how many of its leading bits count.
///
/// The address is kept as given: `100.64.0.1/10` differs from `100.64.0.0/10` until `masked`.
public struct IPPrefix: Hashable, Sendable {
  /// The address, host bits included.
  public let address: IPAddress
  /// How many leading bits count: 0 to 32 or 128.
  public let length: Int

  /// A prefix, or nil when `length` does not fit the family.
  public init?(_ address: IPAddress, length: Int) {
    guard (0...address.family.bitWidth).contains(length) else { return nil }
    self.address = address
    self.length = length
  }

  /// The prefix that holds `address` alone.
  public init(host address: IPAddress) {
    self.address = address
    self.length = address.family.bitWidth
  }

  /// This prefix with its host bits cleared.
  public var masked: IPPrefix { IPPrefix(unchecked: address.masked(to: length), length) }

  /// Whether it holds one address only.
  public var isHost: Bool { length == address.family.bitWidth }

  /// Whether `address` lies in it.
  @inlinable public func contains(_ other: IPAddress) -> Bool {
    other.family == address.family && other.masked(to: length) == address.masked(to: length)
  }

  /// Whether every address of `other` lies in it.
  public func contains(_ other: IPPrefix) -> Bool {
    other.length >= length && contains(other.address)
  }

  /// Whether they share an address.
  public func overlaps(_ other: IPPrefix) -> Bool { contains(other) || other.contains(self) }

  /// The last address in it.
  public var lastAddress: IPAddress {
    let base = address.masked(to: length)
    if base.isV4 {
      return IPAddress(v4: base.v4Bits | ~IPAddress(v4: .max).masked(to: length).v4Bits)
    }
    let mask = IPAddress(high: .max, low: .max).masked(to: length)
    return IPAddress(high: base.high | ~mask.high, low: base.low | ~mask.low)
  }

  /// `0.0.0.0/0` or `::/0`.
  public static func everything(_ family: IPAddress.Family) -> IPPrefix {
    IPPrefix(unchecked: .unspecified(family), 0)
  }

  private init(unchecked address: IPAddress, _ length: Int) {
    self.address = address
    self.length = length
  }
}

extension IPPrefix: LosslessStringConvertible, Comparable {
  /// `address/length`.
  public var description: String { "\(address)/\(length)" }

  /// The prefix that `text` spells; a length is required, without sign or leading zero.
  public init?(_ text: String) { self.init(Substring(text)) }

  /// The prefix that `text` spells; a length is required, without sign or leading zero.
  public init?(_ text: Substring) {
    guard let slash = text.lastIndex(of: "/"), let address = IPAddress(text[..<slash]) else {
      return nil
    }
    let digits = text[text.index(after: slash)...]
    guard (1...3).contains(digits.utf8.count), digits.utf8.allSatisfy({ (48...57).contains($0) }),
      digits == "0" || digits.first != "0", let length = Int(digits)
    else { return nil }
    self.init(address, length: length)
  }

  /// By address, then the shorter prefix first.
  public static func < (left: IPPrefix, right: IPPrefix) -> Bool {
    left.address == right.address ? left.length < right.length : left.address < right.address
  }
}
