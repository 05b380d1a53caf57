// SPDX-License-Identifier: Apache-2.0

import CommandLine
import Glibc
import Testing

@Suite("Telling the service manager")
struct ServiceNotifierTests {
  @Test("Readiness and stopping arrive as datagrams", arguments: [true, false])
  func messages(abstract: Bool) throws {
    let name = "martlet-notify-\(getpid())-\(abstract)"
    let path = abstract ? "@" + name : "/tmp/" + name
    let descriptor = try #require(listen(path))
    defer {
      close(descriptor)
      if !abstract { unsafe unlink(path) }
    }
    let notifier = ServiceNotifier(environment: ["NOTIFY_SOCKET": path])
    #expect(notifier.isActive)
    notifier.ready(status: "Running\nX=1")
    notifier.stopping()
    #expect(receive(descriptor) == "READY=1\nSTATUS=Running X=1")
    #expect(receive(descriptor) == "STOPPING=1")
  }

  @Test("Without a manager nothing is sent", arguments: ["", "relative/path"])
  func silent(name: String) {
    let notifier = ServiceNotifier(environment: ["NOTIFY_SOCKET": name])
    #expect(!notifier.isActive)
    notifier.ready()
  }

  @Test("A manager that is gone does no harm")
  func gone() {
    ServiceNotifier(environment: ["NOTIFY_SOCKET": "/nonexistent/notify"]).ready()
  }

  private func listen(_ path: String) -> Int32? {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let bytes = Array(path.utf8)
    unsafe withUnsafeMutableBytes(of: &address.sun_path) { buffer in
      unsafe buffer.copyBytes(from: bytes)
      if path.hasPrefix("@") { unsafe buffer[0] = 0 }
    }
    let length = socklen_t(2 + bytes.count + (path.hasPrefix("@") ? 0 : 1))
    let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
    let result = unsafe withUnsafePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe bind(descriptor, $0, length)
      }
    }
    return result == 0 ? descriptor : nil
  }

  private func receive(_ descriptor: Int32) -> String {
    var buffer = [UInt8](repeating: 0, count: 512)
    let count = unsafe recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
    return String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
  }
}
