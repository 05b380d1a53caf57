// SPDX-License-Identifier: Apache-2.0

/// What the kernel and we tell each other about a packet that is larger than the link, or whose
/// checksum is not computed yet: the virtio-net header in front of every packet of a TUN device.
///
/// | Offset | Size | Field |
/// |---|---|---|
/// | 0 | 1 | flags: 1 = checksum needed |
/// | 1 | 1 | kind of segmentation; 0x80 is added when the first segment alone carries TCP's CWR |
/// | 2 | 2 | length of all headers; a hint only |
/// | 4 | 2 | payload bytes a segment |
/// | 6 | 2 | where the checksum starts |
/// | 8 | 2 | where it goes, from there |
///
/// Fields are in the byte order of the machine.
///
/// - Source: Virtual I/O Device 1.2 §5.1.6; `Documentation/Protocols/wireguard.md`, offloads.
public struct OffloadHeader: Hashable, Sendable {
  /// How a packet is to be cut.
  public enum Segmentation: UInt8, Hashable, Sendable {
    /// Not at all.
    case none = 0
    /// TCP over IPv4.
    case tcpV4 = 1
    /// TCP over IPv6.
    case tcpV6 = 4
    /// UDP, over either.
    case udp = 5
  }

  /// How many bytes it takes in front of a packet.
  public static let size = 10

  /// Whether the checksum field holds the pseudo header's sum only.
  public var needsChecksum: Bool
  /// How to cut the packet.
  public var segmentation: Segmentation
  /// Length of all headers.
  ///
  /// Never trusted when read: forwarded packets carry nonsense in it.
  public var headerLength: Int
  /// Payload bytes a segment.
  public var segmentSize: Int
  /// Where the checksummed bytes start.
  public var checksumStart: Int
  /// Where the checksum goes, counted from `checksumStart`.
  public var checksumOffset: Int

  /// A header.
  @inlinable
  public init(
    needsChecksum: Bool = false,
    segmentation: Segmentation = .none,
    headerLength: Int = 0,
    segmentSize: Int = 0,
    checksumStart: Int = 0,
    checksumOffset: Int = 0
  ) {
    (self.needsChecksum, self.segmentation) = (needsChecksum, segmentation)
    (self.headerLength, self.segmentSize) = (headerLength, segmentSize)
    (self.checksumStart, self.checksumOffset) = (checksumStart, checksumOffset)
  }

  /// The header of a complete packet.
  @inlinable public static var none: OffloadHeader { OffloadHeader() }

  /// Reads the header at the start of `bytes`; nil when it is short or asks for what we do not do.
  public init?(_ bytes: PacketBytes) {
    // The flag of CWR tells nothing that the TCP header does not tell.
    guard bytes.count >= Self.size, let kind = Segmentation(rawValue: bytes[1] & 0x7F) else {
      return nil
    }
    self.init(
      needsChecksum: bytes[0] & 1 != 0,
      segmentation: kind,
      headerLength: Int(bytes.native(UInt16.self, at: 2)),
      segmentSize: Int(bytes.native(UInt16.self, at: 4)),
      checksumStart: Int(bytes.native(UInt16.self, at: 6)),
      checksumOffset: Int(bytes.native(UInt16.self, at: 8))
    )
  }

  /// Writes the header at the start of `bytes`.
  public func write(to bytes: PacketBytes) {
    bytes[0] = needsChecksum ? 1 : 0
    bytes[1] = segmentation.rawValue
    bytes.storeNative(UInt16(truncatingIfNeeded: headerLength), at: 2)
    bytes.storeNative(UInt16(truncatingIfNeeded: segmentSize), at: 4)
    bytes.storeNative(UInt16(truncatingIfNeeded: checksumStart), at: 6)
    bytes.storeNative(UInt16(truncatingIfNeeded: checksumOffset), at: 8)
  }
}
