// SPDX-License-Identifier: Apache-2.0

import Glibc
package import HostIO
package import HostSettings

/// Held by the one daemon that may use a ground (route table, rules, marks) in a network namespace.
///
/// A name in the abstract namespace of unix sockets, which is one a network namespace has of its
/// own, as routes and rules are. The kernel lets go of it with the process.
///
/// - Source: unix(7), abstract socket addresses.
package struct GroundLock: ~Copyable, Sendable {
  private let socket: Descriptor

  /// Takes the lock of a ground in the calling thread's network namespace.
  ///
  /// - Throws: `HostError` with EADDRINUSE when another daemon stands on that ground.
  package init(_ ground: HostGround) throws(HostError) {
    let operation = "use the routing rules from \(ground.ruleBase) and table \(ground.routeTable)"
    let opened = Glibc.socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard opened >= 0 else { throw HostError(operation, code: errno) }
    let socket = Descriptor(owning: opened)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let name = [0] + Array("martlet-ground-\(ground.ruleBase)-\(ground.routeTable)".utf8)
    unsafe withUnsafeMutableBytes(of: &address.sun_path) { path in
      // SAFETY: the name is shorter than the 108 bytes of the path.
      unsafe path.copyBytes(from: name)
    }
    let length = MemoryLayout<sockaddr_un>.size - MemoryLayout.size(ofValue: address.sun_path)
    let bound = unsafe withUnsafeBytes(of: &address) { raw in
      // SAFETY: the structure outlives the call, and the length lies within it.
      unsafe bind(
        socket.rawValue,
        raw.baseAddress?.assumingMemoryBound(to: sockaddr.self),
        socklen_t(length + name.count)
      )
    }
    guard bound == 0 else {
      throw HostError(
        operation,
        code: errno,
        hint: errno == EADDRINUSE
          ? "Another Martlet daemon on this host uses them; stop that one first" : ""
      )
    }
    self.socket = socket
  }
}
