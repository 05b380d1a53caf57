// SPDX-License-Identifier: Apache-2.0

import Addressing

/// Joins consecutive packets of one flow into a super-packet for the operating system.
///
/// The opposite of `Segmenter`. The bytes are not moved: the first packet keeps its place and its
/// headers are rewritten for the whole, of the others only the payload is used, and the caller lists
/// the pieces for one gathered write. Checksums are verified before packets are joined, because the
/// super-packet says "compute it anew" and would repair a damaged one.
///
/// - Source: `Documentation/Protocols/wireguard.md`, offloads: write.
public struct Coalescer {
  /// The longest super-packet: what the length field of IPv4 can say.
  public static let maximumLength = 65_535
  /// The most datagrams in a super-packet of UDP that every kernel takes.
  public static let maximumDatagrams = 64
  /// The most segments in a super-packet of TCP; bounds the pieces of one gathered write.
  public static let maximumSegments = 128

  private var head: PacketBytes
  @usableFromInline var view: PacketView
  private var headerLength: Int
  private var segmentSize: Int
  private var nextSequence: UInt32 = 0
  @usableFromInline var isOpen: Bool
  private var isHeadVerified = false
  /// Push and final, as the last segment had them.
  private var endFlags = TCPFlags()
  /// The length of the super-packet so far.
  public private(set) var length: Int
  /// How many packets it consists of.
  public private(set) var count = 1

  /// Starts with the packet `bytes`, of which `view` is the parse.
  ///
  /// - Parameters:
  ///   - bytes: The packet; `view.length` bytes of it count.
  ///   - view: Its parse.
  ///   - joining: What the device takes joined.
  public init(_ bytes: PacketBytes, _ view: PacketView, joining: Joining) {
    (head, self.view, length) = (bytes, view, view.length)
    let isTaken = !joining.isDisjoint(with: Joining(of: view))
    headerLength = isTaken ? Self.joinableHeader(bytes, view) ?? 0 : 0
    segmentSize = view.length - headerLength
    isOpen = headerLength > 0
    guard isOpen, view.kind == .tcp else { return }
    nextSequence =
      bytes.uint32(at: view.transportOffset + 4) &+ UInt32(truncatingIfNeeded: segmentSize)
    endFlags = view.flags.intersection(Self.lastFlags)
    isOpen = endFlags.isEmpty
  }

  /// Whether another packet might still be joined.
  @inlinable public var takesMore: Bool { isOpen }

  /// Whether `other` belongs to the flow of this super-packet.
  @inlinable
  public func isSameFlow(as other: PacketView) -> Bool { view.isSameFlow(as: other) }

  /// What only the last segment of a super-packet may carry.
  private static let lastFlags: TCPFlags = [.psh, .fin]

  /// Joins another packet, if it follows.
  ///
  /// - Returns: How many header bytes to skip in `bytes` (the rest up to `view.length` is the next
  ///   piece), or nil when it does not belong and the super-packet is complete.
  public mutating func append(_ bytes: PacketBytes, _ next: PacketView) -> Int? {
    guard isOpen, next.kind == view.kind, next.length <= length,
      let header = Self.joinableHeader(bytes, next), header == headerLength,
      sameHeaders(bytes, next)
    else { return nil }
    let payload = next.length - header
    guard payload <= segmentSize, length + payload <= Self.maximumLength,
      next.kind == .udp || bytes.uint32(at: next.transportOffset + 4) == nextSequence,
      Self.isIntact(bytes, next), verifyHead()
    else { return nil }
    length += payload
    count += 1
    if next.kind == .tcp {
      nextSequence &+= UInt32(truncatingIfNeeded: payload)
      endFlags = next.flags.intersection(Self.lastFlags)
    }
    let most = next.kind == .tcp ? Self.maximumSegments : Self.maximumDatagrams
    isOpen = payload == segmentSize && endFlags.isEmpty && count < most
    return header
  }

  /// Rewrites the headers of the first packet for the whole and says how to write it.
  public func finish() -> OffloadHeader {
    guard count > 1 else { return .none }
    let start = view.transportOffset
    if view.source.isV4 {
      head.store(UInt16(length), at: 2)
      IPPacket.writeHeaderChecksum(head, length: start)
    } else {
      head.store(UInt16(length - 40), at: 4)
    }
    let isTCP = view.kind == .tcp
    if isTCP {
      head[start + 13] |= endFlags.rawValue
    } else {
      head.store(UInt16(length - start), at: start + 4)
    }
    let field = isTCP ? 16 : 6
    let pseudo = InternetChecksum.pseudoHeader(
      from: view.source,
      to: view.destination,
      proto: view.proto,
      length: length - start
    )
    head.storeNative(InternetChecksum.folded(pseudo), at: start + field)
    return OffloadHeader(
      needsChecksum: true,
      segmentation: isTCP ? (view.source.isV4 ? .tcpV4 : .tcpV6) : .udp,
      headerLength: headerLength,
      segmentSize: segmentSize,
      checksumStart: start,
      checksumOffset: field
    )
  }

  /// The length of all headers of a packet that could be joined with others; nil when it could not.
  private static func joinableHeader(_ bytes: PacketBytes, _ view: PacketView) -> Int? {
    let start = view.transportOffset
    guard start == (view.source.isV4 ? 20 : 40), !view.isFirstFragment else { return nil }
    switch view.kind {
    case .tcp:
      // What tells of congestion seen (ECE) may be on all of them; that we reduced (CWR) is told once.
      guard view.flags.subtracting([.psh, .fin, .ece]) == .ack else { return nil }
      let header = Int(bytes[start + 12] >> 4) * 4
      guard header >= 20, start + header < view.length else { return nil }
      return start + header
    case .udp:
      guard start + 8 < view.length, bytes.native(UInt16.self, at: start + 6) != 0,
        Int(bytes.uint16(at: start + 4)) == view.length - start
      else { return nil }
      return start + 8
    default: return nil
    }
  }

  /// Whether all that segments of one super-packet have in common is equal.
  private func sameHeaders(_ bytes: PacketBytes, _ next: PacketView) -> Bool {
    let start = view.transportOffset
    guard next.transportOffset == start,
      bytes.native(UInt16.self, at: 0) == head.native(UInt16.self, at: 0)
    else { return false }
    let network =
      view.source.isV4
      ? bytes.equals(head, at: 6, count: 4) && bytes.equals(head, at: 12, count: 8)
        && hasNextIdentification(bytes)
      : bytes.equals(head, at: 2, count: 2) && bytes.equals(head, at: 6, count: 34)
    guard network, bytes.equals(head, at: start, count: 4) else { return false }
    guard view.kind == .tcp else { return true }
    // Acknowledgment and data offset; window; urgent pointer and options; reserved bits and ECE.
    return bytes.equals(head, at: start + 8, count: 5)
      && bytes.equals(head, at: start + 14, count: 2)
      && bytes.equals(head, at: start + 18, count: headerLength - start - 18)
      && next.flags.symmetricDifference(view.flags).isSubset(of: Self.lastFlags)
  }

  /// Whether cutting the super-packet again will number this packet as it is numbered.
  ///
  /// The number only matters where the packet may be fragmented (RFC 6864 §4).
  private func hasNextIdentification(_ bytes: PacketBytes) -> Bool {
    bytes[6] & 0x40 != 0
      || bytes.uint16(at: 4) == head.uint16(at: 4) &+ UInt16(truncatingIfNeeded: count)
  }

  private mutating func verifyHead() -> Bool {
    guard !isHeadVerified else { return true }
    isHeadVerified = Self.isIntact(head, view)
    isOpen = isHeadVerified
    return isHeadVerified
  }

  private static func isIntact(_ bytes: PacketBytes, _ view: PacketView) -> Bool {
    if view.source.isV4,
      !InternetChecksum.isIntact(InternetChecksum.sum(bytes, 0..<view.transportOffset))
    {
      return false
    }
    let pseudo = InternetChecksum.pseudoHeader(
      from: view.source,
      to: view.destination,
      proto: view.proto,
      length: view.length - view.transportOffset
    )
    let sum = InternetChecksum.sum(bytes, view.transportOffset..<view.length)
    return InternetChecksum.isIntact(pseudo &+ sum)
  }
}
