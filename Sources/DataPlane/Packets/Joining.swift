// SPDX-License-Identifier: Apache-2.0

public import Addressing

/// Which packets may be joined into super-packets: what the device takes.
public struct Joining: OptionSet, Hashable, Sendable {
  /// The bits.
  public let rawValue: UInt8
  /// A set from its bits.
  @inlinable public init(rawValue: UInt8) { self.rawValue = rawValue }
  /// TCP over IPv4.
  @inlinable public static var tcp4: Joining { Joining(rawValue: 1) }
  /// TCP over IPv6.
  @inlinable public static var tcp6: Joining { Joining(rawValue: 2) }
  /// UDP over IPv4.
  @inlinable public static var udp4: Joining { Joining(rawValue: 4) }
  /// UDP over IPv6.
  @inlinable public static var udp6: Joining { Joining(rawValue: 8) }

  /// TCP only: what every kernel with virtio headers takes.
  @inlinable public static var tcp: Joining { [.tcp4, .tcp6] }
  /// Everything.
  @inlinable public static var all: Joining { [.tcp4, .tcp6, .udp4, .udp6] }

  /// The kind that a packet belongs to; empty when no packets of its kind are ever joined.
  @inlinable
  public init(of view: PacketView) {
    switch (view.kind, view.source.isV4) {
    case (.tcp, true): self = .tcp4
    case (.tcp, false): self = .tcp6
    case (.udp, true): self = .udp4
    case (.udp, false): self = .udp6
    default: self = []
    }
  }
}
