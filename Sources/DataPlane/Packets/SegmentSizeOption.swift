// SPDX-License-Identifier: Apache-2.0

/// The option with which the ends of a TCP connection tell each other how much they take in one segment.
///
/// - Source: RFC 9293 §3.7.1; RFC 1624 for the checksum.
public enum SegmentSizeOption {
  /// Lowers the option of a packet that opens a connection to `most`, if it says more.
  ///
  /// - Parameters:
  ///   - packet: A packet with SYN set; changed in place.
  ///   - view: Its parse.
  ///   - most: The most bytes that a segment may carry.
  ///   - needsChecksum: Whether the checksum is yet to be computed, so that it needs no correction.
  /// - Returns: Whether it was lowered.
  @discardableResult
  public static func lower(
    _ packet: PacketBytes,
    _ view: PacketView,
    to most: Int,
    needsChecksum: Bool
  ) -> Bool {
    guard view.kind == .tcp, view.flags.contains(.syn), !view.isFirstFragment, most > 0,
      let place = place(in: packet, view)
    else { return false }
    let old = packet.uint16(at: place)
    let new = UInt16(clamping: most)
    guard old > new else { return false }
    packet.store(new, at: place)
    if !needsChecksum { correct(packet, view, place, old, new) }
    return true
  }

  /// Where the value of the option stands.
  private static func place(in packet: PacketBytes, _ view: PacketView) -> Int? {
    let start = view.transportOffset
    let end = start + Int(packet[start + 12] >> 4) * 4
    guard end <= view.length else { return nil }
    var next = start + 20
    while next < end {
      switch packet[next] {
      case 0: return nil
      case 1: next += 1
      case 2 where next + 4 <= end && packet[next + 1] == 4: return next + 2
      default:
        guard next + 1 < end, packet[next + 1] >= 2 else { return nil }
        next += Int(packet[next + 1])
      }
    }
    return nil
  }

  private static func correct(
    _ packet: PacketBytes,
    _ view: PacketView,
    _ place: Int,
    _ old: UInt16,
    _ new: UInt16
  ) {
    let field = view.transportOffset + 16
    // A value across two words counts with its bytes changed over.
    let isOdd = (place - view.transportOffset) & 1 == 1
    let (before, after) = isOdd ? (old.byteSwapped, new.byteSwapped) : (old, new)
    var sum = UInt32(~packet.uint16(at: field)) + UInt32(~before) + UInt32(after)
    while sum > 0xFFFF { sum = (sum & 0xFFFF) + (sum >> 16) }
    packet.store(~UInt16(truncatingIfNeeded: sum), at: field)
  }
}
