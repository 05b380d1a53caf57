// SPDX-License-Identifier: Apache-2.0

import HostIO

/// Whether the host speaks IPv6 at all.
package enum IPv6Support {
  /// The least MTU that IPv6 works over, in bytes (RFC 8200 §5).
  static let minimumMTU = 1280

  /// Why IPv6 cannot be used, in words; nil when it can.
  package static func obstacle() -> String? {
    guard !isMissing else { return "the kernel has no IPv6" }
    guard flag("/proc/sys/net/ipv6/conf/all/disable_ipv6") != true else {
      return "IPv6 is switched off on this host (net.ipv6.conf.all.disable_ipv6)"
    }
    // TUN interfaces take this one when they are made.
    guard flag("/proc/sys/net/ipv6/conf/default/disable_ipv6") != true else {
      return "IPv6 is switched off for new interfaces (net.ipv6.conf.default.disable_ipv6)"
    }
    return nil
  }

  /// Whether the kernel was built or started without it.
  static var isMissing: Bool { flag("/proc/sys/net/ipv6/conf/all/disable_ipv6") == nil }

  /// Whether a kernel setting is on; nil when there is no such setting.
  private static func flag(_ path: String) -> Bool? {
    // A setting that cannot be read is one that is not there.
    guard let bytes = try? File.read(path, atMost: 16) else { return nil }
    return bytes.first.map { $0 != UInt8(ascii: "0") }
  }
}
