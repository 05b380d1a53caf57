// SPDX-License-Identifier: Apache-2.0

/// A packet mark under a mask: what routing rules know packets by inside the host.
///
/// Only the bits of the mask are ours; the others belong to whoever else marks packets.
public struct PacketMark: Hashable, Sendable {
  /// The marked bits.
  public let value: UInt32
  /// Which bits count.
  public let mask: UInt32

  /// A mark; its value lies within its mask.
  public init(value: UInt32, mask: UInt32) {
    precondition(value & ~mask == 0 && value != 0, "a packet mark lies within its mask")
    (self.value, self.mask) = (value, mask)
  }
}

/// The numbers by which one network's routes and rules are told from everybody else's on a host.
///
/// The defaults are Martlet's own ground: nothing of an installed Tailscale (table 52, rules
/// 5210-5270, marks under 0x00ff0000, `tailscale0`) is read or changed. A second network on one
/// host takes another ground.
public struct HostGround: Hashable, Sendable {
  /// The routing table that holds the network's routes.
  public var routeTable: UInt32 = 53
  /// The routing rules' priorities are this and 10, 30, 50 and 70 more.
  public var ruleBase: UInt32 = 5300
  /// The origin that our routes and rules carry (`ip route` shows it as `proto 53`).
  ///
  /// Cleaning up removes what carries it, inside our table and priorities, and nothing else.
  public var routeOrigin: UInt8 = 53
  /// The alias that our interface carries, by which a cleanup knows it.
  public var interfaceAlias = "martlet"
  /// What the sockets of the daemon mark their packets with, so that they never enter the tunnel.
  ///
  /// The topmost byte: clear of Tailscale (third byte), Kubernetes (0x4000, 0x8000), mwan3 (0x3f00)
  /// and of the small numbers that administrators choose.
  public var bypassMark = PacketMark(value: 0x5300_0000, mask: 0xFF00_0000)

  /// Martlet's own ground.
  public init() {}

  /// The priorities that are ours.
  public var rulePriorities: ClosedRange<UInt32> { ruleBase + 10...ruleBase + 70 }
}
