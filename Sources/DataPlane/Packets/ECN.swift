// SPDX-License-Identifier: Apache-2.0

/// The two bits of an IP header by which a router tells of congestion instead of dropping.
///
/// A tunnel copies them out when it seals a packet, and brings in what the network wrote when it opens
/// one, so that the ends of a conversation learn of congestion anywhere on the way.
///
/// - Source: RFC 3168 §5; RFC 6040 §4.
public enum ECN: UInt8, Hashable, Sendable {
  /// The ends do not understand these bits.
  case notCapable = 0
  /// ECT(1).
  case capable1 = 1
  /// ECT(0).
  case capable0 = 2
  /// A router on the way is congested.
  case congested = 3

  /// The lower two bits of a traffic class or type of service.
  @inlinable
  public init(trafficClass: UInt8) {
    switch trafficClass & 3 {
    case 1: self = .capable1
    case 2: self = .capable0
    case 3: self = .congested
    default: self = .notCapable
    }
  }

  /// What the packet at the start of `bytes` says; of less than two bytes, nothing.
  @inlinable
  public init(of bytes: PacketBytes) {
    guard bytes.count >= 2 else {
      self = .notCapable
      return
    }
    self.init(trafficClass: bytes[0] >> 4 == 6 ? bytes[1] >> 4 : bytes[1])
  }

  /// What a packet that says `self` is to say once it came out of a tunnel whose outer header says
  /// `outer`; nil when it must be dropped.
  ///
  /// Only a sender that does not understand the bits cannot be told of congestion but by a loss.
  ///
  /// - Source: RFC 6040 §4.2, figure 4.
  @inlinable
  public func merged(withOuter outer: ECN) -> ECN? {
    switch (self, outer) {
    case (.notCapable, .congested): nil
    case (.notCapable, _): .notCapable
    case (_, .congested): .congested
    case (.capable0, .capable1): .capable1
    default: self
    }
  }

  /// Writes the bits into the packet at the start of `bytes`, and mends the checksum of IPv4.
  ///
  /// A header that was damaged before stays damaged.
  public func write(to bytes: PacketBytes) {
    precondition(bytes.count >= 20, "a packet has a header")
    guard bytes[0] >> 4 == 4 else {
      bytes[1] = bytes[1] & 0xCF | rawValue << 4
      return
    }
    let before = bytes.uint16(at: 0)
    bytes[1] = bytes[1] & 0xFC | rawValue
    // RFC 1624, equation 3: the new field is the complement of ~field + ~old word + new word.
    var sum =
      UInt32(~bytes.uint16(at: 10)) + UInt32(~before) + UInt32(bytes.uint16(at: 0))
    sum = (sum & 0xFFFF) + sum >> 16
    sum = (sum & 0xFFFF) + sum >> 16
    bytes.store(~UInt16(truncatingIfNeeded: sum), at: 10)
  }
}
