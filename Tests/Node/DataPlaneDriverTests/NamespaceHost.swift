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

  private static let made = Atomic(0)

  init(_ name: String) {
    let number = Self.made.add(1, ordering: .relaxed).newValue
    self.name = "martlet-\(name)-\(getpid())-\(number)"
    _ = Self.run("ip", ["netns", "add", self.name])
    ip("link", "set", "lo", "up")
  }

  deinit { _ = Self.run("ip", ["netns", "del", name]) }

  /// Lays a wire to another host, with addresses at either end; it is there when this returns.
  func wire(to there: NamespaceHost, _ here: [String], _ far: [String]) {
    ip("link", "add", "wire0", "type", "veth", "peer", "name", "wire0", "netns", there.name)
    for (host, addresses) in [(self, here), (there, far)] {
      for address in addresses {
        let options = address.contains(":") ? ["nodad"] : []
        Self.run("ip", ["-n", host.name, "address", "add", address, "dev", "wire0"] + options)
      }
      host.ip("link", "set", "wire0", "up")
    }
  }

  @discardableResult
  func ip(_ arguments: String...) -> (status: Int32, output: String) {
    Self.run("ip", ["-n", name] + arguments)
  }

  /// Runs a program in the namespace and waits for it: only for those that end at once.
  @discardableResult
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

  /// Starts a program in the namespace.
  func launch(_ arguments: [String]) throws -> Running {
    try Running("ip", ["netns", "exec", name] + arguments)
  }

  @discardableResult
  static func run(_ program: String, _ arguments: [String]) -> (status: Int32, output: String) {
    do {
      let running = try Running(program, arguments)
      return running.wait()
    } catch { return (-1, "\(error)") }
  }

  /// A program that was started.
  final class Running: Sendable {
    private let process = Process()
    private let pipe = Pipe()

    init(_ program: String, _ arguments: [String]) throws {
      process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
      process.arguments = [program] + arguments
      process.standardOutput = pipe
      process.standardError = pipe
      try process.run()
    }

    /// Waits for its end, on the calling thread.
    func wait() -> (status: Int32, output: String) {
      let output = pipe.fileHandleForReading.readDataToEndOfFile()
      process.waitUntilExit()
      return (process.terminationStatus, String(decoding: output, as: UTF8.self))
    }

    /// The rest of what it says, once it has ended.
    func output() async -> String { await elsewhere { self.wait().output } }

    /// The next piece of what it says.
    func line() async -> String {
      await elsewhere {
        String(decoding: self.pipe.fileHandleForReading.availableData, as: UTF8.self)
      }
    }

    /// How it ended.
    func status() async -> Int32 { await elsewhere { self.wait().status } }

    /// Ends it as a terminal does.
    func interrupt() { process.interrupt() }

    /// Waits on a thread of its own: those that tasks share must not.
    private func elsewhere<Value: Sendable>(
      _ body: @escaping @Sendable () -> Value
    ) async -> Value {
      await withCheckedContinuation { continuation in
        do {
          _ = try DataThread(name: "program") { continuation.resume(returning: body()) }
        } catch { preconditionFailure("a thread can be started: \(error)") }
      }
    }
  }
}
