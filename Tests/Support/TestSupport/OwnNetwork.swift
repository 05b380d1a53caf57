// SPDX-License-Identifier: Apache-2.0

import CHost
import Glibc
public import Testing

/// A network namespace that exists for the length of one test.
public enum OwnNetwork {
  /// What a test that needs one says when it is skipped.
  public static let reason: Comment = "needs root, network namespaces and /dev/net/tun"

  /// Whether this process may make one.
  public static let isAvailable: Bool =
    unsafe geteuid() == 0 && access("/dev/net/tun", R_OK | W_OK) == 0
    && (try? run { true }) == true

  /// Runs `body` on the calling thread in a namespace of its own, with its loopback up.
  ///
  /// `body` does not suspend, so it stays on the thread.
  public static func run<Result>(_ body: () throws -> Result) throws -> Result {
    let home = unsafe open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)
    guard home >= 0 else { throw Failure(what: "open the thread's namespace") }
    defer {
      precondition(chost_enter_network(home) == 0, "a thread can return to its namespace")
      close(home)
    }
    guard chost_unshare_network() == 0 else { throw Failure(what: "make a namespace") }
    try ip("link", "set", "lo", "up")
    return try body()
  }

  /// The calling thread's namespace, to be entered again; open until the process ends.
  public static func current() throws -> Int32 {
    let namespace = unsafe open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)
    guard namespace >= 0 else { throw Failure(what: "open the thread's namespace") }
    return namespace
  }

  /// Runs `body` on the calling thread in a namespace that was made before.
  @discardableResult
  public static func enter<Result: ~Copyable>(
    _ namespace: Int32,
    _ body: () throws -> Result
  ) throws -> Result {
    let home = try current()
    defer {
      precondition(chost_enter_network(home) == 0, "a thread can return to its namespace")
      close(home)
    }
    guard chost_enter_network(namespace) == 0 else { throw Failure(what: "enter a namespace") }
    return try body()
  }

  /// Runs `ip` with arguments in the namespace of the calling thread.
  @discardableResult
  public static func ip(_ arguments: String...) throws -> String {
    try shell("ip " + arguments.joined(separator: " "))
  }

  /// Runs a command line in the namespaces of the calling thread.
  @discardableResult
  public static func shell(_ line: String) throws -> String {
    let command = "{ \(line); } 2>&1"
    // SAFETY: the stream is read while it is open, and the buffer outlives each read.
    guard let stream = unsafe popen(command, "re") else { throw Failure(what: command) }
    var output: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    while case let count = unsafe fread(&buffer, 1, buffer.count, stream), count > 0 {
      output += buffer[..<count]
    }
    let text = String(decoding: output, as: UTF8.self)
    guard unsafe pclose(stream) == 0 else { throw Failure(what: "\(command): \(text)") }
    return text
  }

  /// What could not be done.
  public struct Failure: Error {
    var what: String

    /// This could not be done.
    public init(what: String) { self.what = what }
  }
}
