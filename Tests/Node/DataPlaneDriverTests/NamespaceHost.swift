// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import HostIO
import Synchronization

/// A network namespace of its own: a host as far as the network is concerned.
final class NamespaceHost: Sendable {
  /// Why there can be none here; nil when there can.
  static var obstacle: String? {
    if geteuid() != 0 { return "not root" }
    if !FileManager.default.fileExists(atPath: "/dev/net/tun") { return "no /dev/net/tun" }
    if run("ip", ["netns", "add", "martlet-probe"]).status != 0 { return "no namespaces" }
    _ = run("ip", ["netns", "del", "martlet-probe"])
    return nil
  }

  let name: String

  init(_ name: String) {
    self.name = "martlet-\(name)-\(getpid())"
    _ = Self.run("ip", ["netns", "add", self.name])
    ip("link", "set", "lo", "up")
  }

  deinit { _ = Self.run("ip", ["netns", "del", name]) }

  /// Lays a wire between two hosts, with an address at either end.
  static func wire(_ here: NamespaceHost, _ address: String, _ there: NamespaceHost, _ far: String) {
    here.ip("link", "add", "wire0", "type", "veth", "peer", "name", "wire0", "netns", there.name)
    for (host, own) in [(here, address), (there, far)] {
      host.ip("address", "add", own, "dev", "wire0")
      host.ip("link", "set", "wire0", "up")
    }
  }

  @discardableResult
  func ip(_ arguments: String...) -> (status: Int32, output: String) {
    Self.run("ip", ["-n", name] + arguments)
  }

  /// Runs a program in the namespace.
  func execute(_ arguments: String...) -> (status: Int32, output: String) {
    Self.run("ip", ["netns", "exec", name] + arguments)
  }

  /// Runs `body` on a thread that is in the namespace; what it opens stays there.
  func within<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) throws -> Value {
    let path = "/var/run/netns/\(name)"
    let outcome = Outcome<Value>()
    let thread = try DataThread(name: "namespace") {
      let descriptor = unsafe open(path, O_RDONLY)
      precondition(Self.enter(descriptor) == 0, "the namespace can be entered")
      close(descriptor)
      outcome.set(Result { try body() })
    }
    thread.join()
    guard let result = outcome.get() else { preconditionFailure("the thread ran") }
    return try result.get()
  }

  /// `setns`, which the C library's module does not show.
  private static func enter(_ descriptor: Int32) -> Int32 {
    typealias SetNamespace = @convention(c) (Int32, Int32) -> Int32
    guard let symbol = unsafe dlsym(nil, "setns") else { return -1 }
    // SAFETY: the C library declares the function so.
    return unsafe unsafeBitCast(symbol, to: SetNamespace.self)(descriptor, 0)
  }

  private final class Outcome<Value: Sendable>: Sendable {
    private let result = Mutex<Result<Value, any Error>?>(nil)
    func set(_ new: Result<Value, any Error>) { result.withLock { $0 = new } }
    func get() -> Result<Value, any Error>? { result.withLock { $0 } }
  }

  static func run(_ program: String, _ arguments: [String]) -> (status: Int32, output: String) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = [program] + arguments
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = pipe
    do { try process.run() } catch { return (-1, "\(error)") }
    let output = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return (process.terminationStatus, String(decoding: output, as: UTF8.self))
  }
}
