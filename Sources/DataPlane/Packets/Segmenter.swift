// SPDX-License-Identifier: Apache-2.0

import Addressing

/// Cuts one super-packet of the operating system into packets that fit the link, checksums included.
///
/// What a network card does for a kernel that knows TCP and UDP segmentation offload. The packet is
/// judged once; the segments are then written one by one, each in one pass over its bytes, straight
/// to where they will be sealed.
///
/// - Source: `Documentation/Protocols/wireguard.md`, offloads: read.
public struct Segmenter: Sendable {
  private enum Work {
    case copy
    case checksum
    case tcp
    case udp
  }

  private let work: Work
  private let view: PacketView
  private let checksumStart: Int
  private let checksumField: Int
  /// The bytes of header that every segment repeats; of a packet left whole, all of it.
  private let headerLength: Int
  private let segmentSize: Int
  /// How many packets come out.
  public let count: Int

  /// Judges the packet `bytes`, of which `view` is the parse.
  ///
  /// - Returns: nil when what `offload` asks for does not fit the packet.
  public init?(_ bytes: PacketBytes, _ view: PacketView, _ offload: OffloadHeader) {
    guard view.kind != .malformed, view.length <= bytes.count else { return nil }
    self.view = view
    checksumStart = offload.checksumStart
    checksumField = offload.checksumStart + offload.checksumOffset
    switch offload.segmentation {
    case .none:
      work = offload.needsChecksum ? .checksum : .copy
      guard !offload.needsChecksum || Self.fits(offload, view) else { return nil }
      (headerLength, segmentSize, count) = (view.length, 0, 1)
    case .tcpV4, .tcpV6, .udp:
      guard let header = Self.headerLength(bytes, view, offload.segmentation),
        header <= view.length, offload.segmentSize > 0
      else { return nil }
      work = offload.segmentation == .udp ? .udp : .tcp
      (headerLength, segmentSize) = (header, offload.segmentSize)
      count = max(1, (view.length - header + offload.segmentSize - 1) / offload.segmentSize)
    }
  }

  /// The length of the longest segment: the first.
  public var largest: Int { length(of: 0) }

  /// The length of segment `index`.
  public func length(of index: Int) -> Int {
    let payload = view.length - headerLength
    return headerLength + max(0, min(segmentSize, payload - index * segmentSize))
  }

  /// Writes segment `index` of `bytes` to the start of `target`.
  public func write(_ index: Int, of bytes: PacketBytes, to target: PacketBytes) {
    precondition(index >= 0 && index < count, "no such segment")
    switch work {
    case .copy: target.copy(bytes.slice(0..<view.length))
    case .checksum: writeWhole(bytes, to: target)
    case .tcp: writeTCP(index, bytes, target)
    case .udp: writeUDP(index, bytes, target)
    }
  }

  /// Whether the checksum that is left to us lies where the packet has one.
  private static func fits(_ offload: OffloadHeader, _ view: PacketView) -> Bool {
    let field = offload.checksumStart + offload.checksumOffset
    guard offload.checksumStart >= view.transportOffset, field + 2 <= view.length else {
      return false
    }
    let known: Int? =
      switch view.kind {
      case .tcp: 16
      case .udp: 6
      case .icmp: 2
      // A checksum that covers all fragments is nobody's to compute in one of them.
      case .fragment: -1
      default: nil
      }
    guard let known else { return true }
    return !view.isFirstFragment && offload.checksumStart == view.transportOffset
      && offload.checksumOffset == known
  }

  private static func headerLength(
    _ bytes: PacketBytes,
    _ view: PacketView,
    _ segmentation: OffloadHeader.Segmentation
  ) -> Int? {
    let isV4 = view.source.isV4
    guard !view.isFirstFragment, isV4 || view.transportOffset == 40 else { return nil }
    switch (segmentation, view.kind) {
    case (.tcpV4, .tcp) where isV4, (.tcpV6, .tcp) where !isV4:
      let header = Int(bytes[view.transportOffset + 12] >> 4) * 4
      return header >= 20 ? view.transportOffset + header : nil
    case (.udp, .udp): return view.transportOffset + 8
    default: return nil
    }
  }

  /// A packet left whole, whose checksum the kernel left to us.
  private func writeWhole(_ bytes: PacketBytes, to target: PacketBytes) {
    target.copy(bytes.slice(0..<checksumStart))
    let sum = InternetChecksum.copy(
      bytes,
      checksumStart..<view.length,
      to: target,
      at: checksumStart
    )
    var field = InternetChecksum.field(sum)
    if view.kind == .udp, field == 0 { field = 0xFFFF }
    target.storeNative(field, at: checksumField)
  }

  private func writeTCP(_ index: Int, _ bytes: PacketBytes, _ target: PacketBytes) {
    let start = view.transportOffset
    writeHeaders(index, bytes, target)
    target.store(bytes.uint32(at: start + 4) &+ UInt32(index * segmentSize), at: start + 4)
    var flags = TCPFlags(rawValue: bytes[start + 13])
    if index < count - 1 { flags.subtract([.fin, .psh]) }
    if index > 0 { flags.remove(.cwr) }
    target[start + 13] = flags.rawValue
    target.storeNative(UInt16(0), at: start + 16)
    target.storeNative(finish(index, bytes, target), at: start + 16)
  }

  private func writeUDP(_ index: Int, _ bytes: PacketBytes, _ target: PacketBytes) {
    let start = view.transportOffset
    writeHeaders(index, bytes, target)
    target.store(UInt16(length(of: index) - start), at: start + 4)
    target.storeNative(UInt16(0), at: start + 6)
    let field = finish(index, bytes, target)
    target.storeNative(field == 0 ? 0xFFFF : field, at: start + 6)
  }

  private func writeHeaders(_ index: Int, _ bytes: PacketBytes, _ target: PacketBytes) {
    target.copy(bytes.slice(0..<headerLength))
    if view.source.isV4 {
      target.store(UInt16(length(of: index)), at: 2)
      target.store(bytes.uint16(at: 4) &+ UInt16(truncatingIfNeeded: index), at: 4)
      IPPacket.writeHeaderChecksum(target, length: view.transportOffset)
    } else {
      target.store(UInt16(length(of: index) - 40), at: 4)
    }
  }

  /// Copies the payload of segment `index` behind its headers and returns the transport checksum.
  private func finish(_ index: Int, _ bytes: PacketBytes, _ target: PacketBytes) -> UInt16 {
    let from = headerLength + index * segmentSize
    let length = length(of: index)
    let payload = InternetChecksum.copy(
      bytes,
      from..<from + length - headerLength,
      to: target,
      at: headerLength
    )
    let header = InternetChecksum.sum(target, view.transportOffset..<headerLength)
    let pseudo = InternetChecksum.pseudoHeader(
      from: view.source,
      to: view.destination,
      proto: view.proto,
      length: length - view.transportOffset
    )
    return InternetChecksum.field(payload &+ header &+ pseudo)
  }
}
