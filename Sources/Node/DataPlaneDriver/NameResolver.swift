// SPDX-License-Identifier: Apache-2.0

package import Addressing
import Glibc
import HostIO

/// Asks the host for the addresses of a name.
package enum NameResolver {
  /// The addresses of `name`, in the host's order; none when it has none or cannot be asked.
  ///
  /// The host's resolver blocks, so it is asked on a thread of its own.
  package static func addresses(of name: String) async -> [IPAddress] {
    if let literal = IPAddress(name) { return [literal] }
    return await withCheckedContinuation { continuation in
      do throws(HostError) {
        _ = try DataThread(name: "martlet-resolve") {
          continuation.resume(returning: ask(name))
        }
      } catch {
        continuation.resume(returning: [])
      }
    }
  }

  private static func ask(_ name: String) -> [IPAddress] {
    var hints = unsafe addrinfo()
    unsafe hints.ai_family = AF_UNSPEC
    unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var list: UnsafeMutablePointer<addrinfo>?
    // SAFETY: the C library fills `list`, which is freed below, after it was read.
    guard unsafe getaddrinfo(name, nil, &hints, &list) == 0 else { return [] }
    defer { unsafe freeaddrinfo(list) }
    var addresses: [IPAddress] = []
    var next = unsafe list
    while let entry = unsafe next {
      if let address = unsafe address(of: entry.pointee), !addresses.contains(address) {
        addresses.append(address)
      }
      unsafe next = entry.pointee.ai_next
    }
    return addresses
  }

  private static func address(of entry: addrinfo) -> IPAddress? {
    guard let raw = unsafe UnsafeRawPointer(entry.ai_addr) else { return nil }
    // SAFETY: the family says which structure the address is.
    switch unsafe entry.ai_family {
    case AF_INET:
      let bytes = unsafe raw.loadUnaligned(as: sockaddr_in.self).sin_addr.s_addr
      return IPAddress(v4: UInt32(bigEndian: bytes))
    case AF_INET6:
      // The 16 bytes follow family, port and flow label.
      return unsafe IPAddress(bytes: UnsafeRawBufferPointer(start: raw + 8, count: 16))
    default: return nil
    }
  }
}
