// SPDX-License-Identifier: Apache-2.0

import CHost
import Foundation
import HostIO
import Synchronization
import Testing
import Timing

@testable import HostConfiguration

/// A directory that exists for the length of one test.
struct Scratch: ~Copyable {
  let path: String

  init() throws {
    path = FileManager.default.temporaryDirectory.path + "/martlet-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
  }

  deinit {
    // A directory that stays behind harms no test.
    try? FileManager.default.removeItem(atPath: path)
  }

  func store() throws -> StateStore { try StateStore(directory: path + "/state") }

  static func mode(_ path: String) throws -> Int {
    let attributes = try FileManager.default.attributesOfItem(atPath: path)
    return try #require(attributes[.posixPermissions] as? Int)
  }

  static func names(_ path: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: path).sorted()
  }
}

@Suite("Files that outlive the daemon")
struct StateStoreTests {
  static let noon = Timestamp(seconds: 1_767_225_600)

  @Test("What is written is read back, privately kept, and nothing else lies about")
  func roundTrip() throws {
    let scratch = try Scratch()
    let store = try StateStore(directory: scratch.path + "/a/b/state")
    #expect(try Scratch.mode(store.directory) == 0o700)
    #expect(try store.read("state") == nil)
    try store.write("state", [1, 2, 3])
    #expect(try store.read("state") == [1, 2, 3])
    #expect(try Scratch.mode(store.path("state")) == 0o600)
    try store.write("state", [])
    #expect(try store.read("state") == [])
    let large = (0..<300_000).map { UInt8(truncatingIfNeeded: $0) }
    try store.write("state", large)
    #expect(try store.read("state") == large)
    #expect(try Scratch.names(store.directory) == ["state"])
    try store.remove("state")
    try store.remove("state")
    #expect(try store.read("state") == nil)
  }

  @Test("A directory that others could look into is closed to them")
  func permissions() throws {
    let scratch = try Scratch()
    let store = try StateStore(directory: scratch.path)
    #expect(try Scratch.mode(store.directory) == 0o700)
    // A file that was too open is replaced by a private one.
    let path = store.path("state")
    try Data([1]).write(to: URL(filePath: path))
    try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: path)
    try store.write("state", [2])
    #expect(try Scratch.mode(path) == 0o600)
  }

  @Test("A directory that everybody shares is refused with what to do")
  func shared() throws {
    let scratch = try Scratch()
    try FileManager.default.setAttributes([.posixPermissions: 0o1777], ofItemAtPath: scratch.path)
    do throws(HostError) {
      _ = try StateStore(directory: scratch.path)
      Issue.record("a shared directory was taken")
    } catch {
      #expect(
        error.description == "cannot use \(scratch.path) as the state directory: permission denied."
          + " Others may change what is in it; choose a directory of its own with --statedir"
      )
    }
    #expect(try Scratch.mode(scratch.path) == 0o1777)
  }

  @Test("A file in the directory's place is refused")
  func notADirectory() throws {
    let scratch = try Scratch()
    let path = scratch.path + "/file"
    try Data([1]).write(to: URL(filePath: path))
    #expect(throws: HostError.self) { _ = try StateStore(directory: path) }
    #expect(throws: HostError.self) { _ = try StateStore(directory: path + "/below") }
  }

  @Test("A link in a state file's place is replaced, and what it led to stays")
  func symbolicLink() throws {
    let scratch = try Scratch()
    let store = try scratch.store()
    let target = scratch.path + "/theirs"
    try Data([9]).write(to: URL(filePath: target))
    for name in ["state", "state.new"] {
      try FileManager.default.createSymbolicLink(
        atPath: store.path(name),
        withDestinationPath: target
      )
    }
    try store.write("state", [1])
    #expect(try store.read("state") == [1])
    #expect(try Array(Data(contentsOf: URL(filePath: target))) == [9])
  }

  private struct NoSense: Error, CustomStringConvertible { var description: String { "it rhymes" } }

  @Test("A file that makes no sense is set aside with its contents, and said so")
  func corrupted() throws {
    let scratch = try Scratch()
    let store = try scratch.store()
    for attempt in 1...3 {
      try store.write("state", Array("garbage \(attempt)".utf8))
      let loaded: StateStore.Loaded<Int> = try store.load("state", at: Self.noon) { _ in
        throw NoSense()
      }
      guard case .setAside(let path, let reason) = loaded else {
        Issue.record("garbage was loaded: \(loaded)")
        return
      }
      #expect(reason == "it rhymes")
      let suffix = attempt == 1 ? "" : "-\(attempt)"
      #expect(path == store.path("state") + ".corrupt-2026-01-01T00-00-00Z" + suffix)
      #expect(try String(contentsOfFile: path, encoding: .utf8) == "garbage \(attempt)")
      #expect(try Scratch.mode(path) == 0o600)
      #expect(try store.read("state") == nil)
    }
    // The daemon starts afresh.
    try store.write("state", [7])
    let loaded = try store.load("state") { $0.count }
    guard case .value(1) = loaded else {
      Issue.record("a good file was not loaded: \(loaded)")
      return
    }
  }

  @Test("An empty file and one that is too large are set aside too; an absent one is none")
  func emptyAndLarge() throws {
    let scratch = try Scratch()
    let store = try scratch.store()
    guard case .absent = try store.load("state", decode: { $0 }) else {
      Issue.record("a file came out of nothing")
      return
    }
    try store.write("state", [])
    let empty = try store.load("state", at: Self.noon) { bytes in
      guard !bytes.isEmpty else { throw NoSense() }
      return bytes
    }
    guard case .setAside = empty else {
      Issue.record("an empty file was loaded")
      return
    }
    try store.write("large", [UInt8](repeating: 1, count: 101))
    let large = try store.load("large", atMost: 100, at: Self.noon) { $0 }
    guard case .setAside(_, let reason) = large else {
      Issue.record("a file beyond its limit was loaded")
      return
    }
    #expect(reason == "it has more than 100 bytes")
    #expect(throws: HostError.self) {
      _ = try store.read("large.corrupt-2026-01-01T00-00-00Z", atMost: 100)
    }
    #expect(try store.read("large.corrupt-2026-01-01T00-00-00Z", atMost: 101)?.count == 101)
  }

  @Test("A directory or a pipe in a file's place is an error, and nobody waits for it")
  func notAFile() throws {
    let scratch = try Scratch()
    let store = try scratch.store()
    try FileManager.default.createDirectory(
      atPath: store.path("state"),
      withIntermediateDirectories: false
    )
    do throws(HostError) {
      _ = try store.read("state")
      Issue.record("a directory was read")
    } catch {
      #expect(error.description.hasPrefix("cannot read \(store.path("state")): is a directory"))
    }
    #expect(throws: HostError.self) { try store.write("state", [1]) }
    #expect(try Scratch.names(store.directory) == ["state"])
  }

  @Test("What a killed daemon left half written is neither read nor in the way")
  func halfWritten() throws {
    let scratch = try Scratch()
    let store = try scratch.store()
    try store.write("state", [1, 1, 1])
    try Data([2]).write(to: URL(filePath: store.path("state.new")))
    #expect(try store.read("state") == [1, 1, 1])
    try store.write("state", [3])
    #expect(try store.read("state") == [3])
    #expect(try Scratch.names(store.directory) == ["state"])
  }

  @Test("Names that lead out of the directory are none")
  func names() {
    for good in ["state", "a-b_c.json", "derp.key"] { #expect(StateStore.isValidName(good)) }
    for bad in ["", ".", "..", ".hidden", "a/b", "/etc/passwd", "a b", "a\nb", "ü"] {
      #expect(!StateStore.isValidName(bad))
    }
    #expect(!StateStore.isValidName(String(repeating: "a", count: 201)))
  }
}

@Suite("One daemon on one state directory")
struct InstanceLockTests {
  @Test("The second is refused with the number of the first; when that has gone it may")
  func lock() throws {
    let scratch = try Scratch()
    let store = try scratch.store()
    let first = try InstanceLock(store)
    do throws(HostError) {
      _ = try InstanceLock(store)
      Issue.record("two hold one lock")
    } catch {
      #expect(
        error.description == "cannot use the state directory \(store.directory): resource "
          + "temporarily unavailable. Another daemon (process \(getpid())) uses it; stop that one, "
          + "or choose another directory with --statedir"
      )
    }
    _ = consume first
    let third = try InstanceLock(store)
    #expect(try Scratch.mode(store.path(InstanceLock.fileName)) == 0o600)
    _ = consume third
  }

  @Test("A lock file of nonsense locks as well")
  func nonsense() throws {
    let scratch = try Scratch()
    let store = try scratch.store()
    let path = store.path(InstanceLock.fileName)
    try Data("not a number, and much longer than a number would ever be".utf8)
      .write(to: URL(filePath: path))
    let lock = try InstanceLock(store)
    #expect(try String(contentsOfFile: path, encoding: .utf8) == "\(getpid())\n")
    _ = consume lock
  }
}
