// SPDX-License-Identifier: Apache-2.0

import HostIO

/// Whether the host speaks IPv6 at all.
package enum IPv6Support {
  /// The least MTU that IPv6 works over, in bytes (RFC 8200 §5).
  static let minimumMTU = 1280

  /// Why IPv6 cannot be used on an interface, in words; nil when it can.
  ///
  /// Without an interface: on one that is yet to be made.
  package static func obstacle(on interface: String? = nil) -> String? {
    guard !isMissing else { return "the kernel has no IPv6" }
    guard flag("/proc/sys/net/ipv6/conf/all/disable_ipv6") != true else {
      return "IPv6 is switched off on this host (net.ipv6.conf.all.disable_ipv6)"
    }
    // A new interface takes the default; one whose MTU was too small for IPv6 has no setting yet.
    let own = interface.flatMap { name in
      flag("/proc/sys/net/ipv6/conf/\(name)/disable_ipv6").map { (name, $0) }
    }
    let (name, isOff) =
      own ?? ("default", flag("/proc/sys/net/ipv6/conf/default/disable_ipv6") == true)
    return isOff
      ? "IPv6 is switched off for this interface (net.ipv6.conf.\(name).disable_ipv6)" : nil
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
