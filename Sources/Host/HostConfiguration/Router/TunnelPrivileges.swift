// SPDX-License-Identifier: Apache-2.0

import Glibc
package import HostIO

/// What a process must have and be allowed so that it can run a tunnel.
package enum TunnelPrivileges {
  /// The device that makes TUN interfaces.
  package static let device = "/dev/net/tun"
  private static let networkAdministration: UInt64 = 1 << 12

  /// Why this process cannot run a tunnel, with what to do about it; nil when it can.
  ///
  /// The calling thread counts, as the kernel asks each thread for its own privileges.
  package static func obstacle() -> HostError? {
    guard mayAdministerNetworks() else {
      return HostError(
        "configure the network",
        code: EPERM,
        hint: "Run as root, or with the capability CAP_NET_ADMIN"
      )
    }
    return deviceObstacle(device)
  }

  /// Whether the calling thread has CAP_NET_ADMIN.
  package static func mayAdministerNetworks() -> Bool {
    // Where there is no /proc, the kernel is asked by the first attempt.
    guard let status = try? File.read("/proc/thread-self/status", atMost: 1 << 16) else {
      return true
    }
    return effectiveCapabilities(status).map { $0 & networkAdministration != 0 } ?? true
  }

  /// The capabilities that the text of a `status` file under `/proc` names as effective.
  static func effectiveCapabilities(_ status: [UInt8]) -> UInt64? {
    let line = status.split(separator: UInt8(ascii: "\n")).first {
      $0.starts(with: "CapEff:".utf8)
    }
    guard let line else { return nil }
    let digits = line.dropFirst("CapEff:".utf8.count).filter { $0 > 0x20 }
    return UInt64(String(decoding: digits, as: UTF8.self), radix: 16)
  }

  static func deviceObstacle(_ path: String) -> HostError? {
    let opened = File.open(path, O_RDWR | O_NONBLOCK)
    guard opened < 0 else {
      close(opened)
      return nil
    }
    let hint =
      switch -opened {
      case ENOENT, ENODEV, ENXIO:
        "The kernel's TUN driver is missing: load it with modprobe tun; in a container, pass the "
          + "device in"
      case EPERM, EACCES: "Run as root, or with the capability CAP_NET_ADMIN"
      default: ""
      }
    return HostError("open \(path)", code: -opened, hint: hint)
  }
}
