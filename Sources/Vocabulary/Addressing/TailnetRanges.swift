// SPDX-License-Identifier: Apache-2.0

/// The address ranges that a tailnet uses, and what is fixed inside them.
///
/// - Source: `Documentation/Protocols/control.md`, addresses.
public enum TailnetRanges {
  /// The shared address space that tailnets take their IPv4 addresses from (RFC 6598).
  public static let v4 = prefix(IPAddress(100, 64, 0, 0), 10)
  /// The unique local prefix that tailnets take their IPv6 addresses from.
  public static let v6 = prefix(IPAddress(high: 0xFD7A_115C_A1E0_0000, low: 0), 48)
  /// The IPv4 address at which every node answers itself for names and services.
  public static let serviceV4 = IPAddress(100, 100, 100, 100)
  /// The IPv6 address at which every node answers itself for names and services.
  public static let serviceV6 = IPAddress(high: 0xFD7A_115C_A1E0_0000, low: 0x53)
  /// Within `v4`, given to ChromeOS virtual machines and never to nodes.
  public static let chromeOSReserved = prefix(IPAddress(100, 115, 92, 0), 23)

  /// Whether `address` lies in either range.
  public static func contains(_ address: IPAddress) -> Bool {
    v4.contains(address) || v6.contains(address)
  }

  private static func prefix(_ address: IPAddress, _ length: Int) -> IPPrefix {
    guard let prefix = IPPrefix(address, length: length) else {
      preconditionFailure("a fixed prefix has a length of its family")
    }
    return prefix
  }
}
