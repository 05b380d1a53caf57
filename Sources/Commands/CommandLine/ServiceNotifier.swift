// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Tells the service manager how far we are.
///
/// - Source: sd_notify(3): datagrams of `KEY=value` lines to the socket named by `NOTIFY_SOCKET`;
///   a leading `@` stands for the abstract namespace.
package struct ServiceNotifier: Sendable {
  private let path: String?

  /// Speaks to the socket that `environment` names; says nothing when it names none.
  package init(environment: [String: String]) {
    let name = environment["NOTIFY_SOCKET"] ?? ""
    path = name.hasPrefix("/") || name.hasPrefix("@") ? name : nil
  }

  /// Whether somebody listens.
  package var isActive: Bool { path != nil }

  /// The service does its work now.
  package func ready(status: String = "") { send(["READY=1"] + statusLine(status)) }

  /// The service is on its way out.
  package func stopping() { send(["STOPPING=1"]) }

  /// One line for `systemctl status`.
  package func status(_ text: String) { send(statusLine(text)) }

  private func statusLine(_ text: String) -> [String] {
    text.isEmpty ? [] : ["STATUS=" + String(text.map { $0.isNewline ? " " : $0 })]
  }

  /// A manager that cannot be reached is no reason to fail: it will notice by itself.
  private func send(_ lines: [String]) {
    guard let path, !lines.isEmpty else { return }
    let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { return }
    defer { close(descriptor) }
    guard var address = UnixAddress(path: path) else { return }
    let message = Array(lines.joined(separator: "\n").utf8)
    _ = unsafe withUnsafeBytes(of: &address.storage) { raw in
      unsafe message.withUnsafeBytes { bytes in
        // SAFETY: both buffers outlive the call, and `address.length` lies within the storage.
        unsafe sendto(
          descriptor,
          bytes.baseAddress,
          bytes.count,
          Int32(MSG_NOSIGNAL),
          raw.baseAddress?.assumingMemoryBound(to: sockaddr.self),
          address.length
        )
      }
    }
  }
}

/// A socket address in the file system, or in the abstract namespace when it starts with `@`.
struct UnixAddress {
  var storage = sockaddr_un()
  var length: socklen_t

  init?(path: String) {
    let bytes = Array(path.utf8)
    let room = MemoryLayout.size(ofValue: storage.sun_path)
    guard !bytes.isEmpty, bytes.count < room, !bytes.contains(0) else { return nil }
    let isAbstract = bytes[0] == UInt8(ascii: "@")
    let header = MemoryLayout<sockaddr_un>.size - room
    length = socklen_t(header + bytes.count + (isAbstract ? 0 : 1))
    storage.sun_family = sa_family_t(AF_UNIX)
    unsafe withUnsafeMutableBytes(of: &storage.sun_path) { buffer in
      unsafe buffer.copyBytes(from: bytes)
      if isAbstract { unsafe buffer[0] = 0 }
    }
  }
}
