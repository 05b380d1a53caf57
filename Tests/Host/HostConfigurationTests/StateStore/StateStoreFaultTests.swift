// SPDX-License-Identifier: Apache-2.0

import CHost
import Foundation
import HostIO
import Synchronization
import TestSupport
import Testing

@testable import HostConfiguration

@Suite("State files when things go wrong", .timeLimit(.minutes(10)))
struct StateStoreFaultTests {
  static let size = 200_000

  /// What the writer writes: bytes that all say which write it was; zero before the first only.
  static func contents(_ round: Int) -> [UInt8] {
    let mark = round == 0 ? 0 : UInt8(1 + (round - 1) % 255)
    return [UInt8](repeating: mark, count: size + round % 7)
  }

  @Test("Killed at any moment, a writer leaves old contents or new, never a mixture")
  func killed() async throws {
    let scratch = try Scratch()
    let store = try scratch.store()
    let directory = store.directory
    try store.write("state", Self.contents(0))
    for _ in 0..<10 {
      await #expect(processExitsWith: .signal(SIGKILL)) { [directory = directory as String] in
        let store = try StateStore(directory: directory)
        let written = Atomic(0)
        let writer = try DataThread(name: "writer") {
          do {
            for round in 1... {
              try store.write("state", StateStoreFaultTests.contents(round))
              written.store(round, ordering: .releasing)
            }
          } catch {
            Issue.record(error)
          }
        }
        while written.load(ordering: .acquiring) < 3 { sched_yield() }
        // Somewhere within the next writes, another place each time.
        for _ in 0..<Int.random(in: 0..<2000) { sched_yield() }
        kill(getpid(), SIGKILL)
        writer.join()
      }
      let left = try #require(try store.read("state"))
      let first = try #require(left.first)
      #expect(left.allSatisfy { $0 == first })
      #expect((Self.size..<Self.size + 7).contains(left.count))
      #expect(first > 0, "an acknowledged write was lost")
      try store.write("state", Self.contents(1))
      #expect(try Scratch.names(store.directory) == ["state"])
    }
  }

  @Test("Killed, a daemon lets go of its lock")
  func killedHolder() async throws {
    let scratch = try Scratch()
    let path = scratch.path
    await #expect(processExitsWith: .signal(SIGKILL)) { [path = path as String] in
      let store = try StateStore(directory: path)
      let lock = try InstanceLock(store)
      kill(getpid(), SIGKILL)
      _ = consume lock
    }
    let lock = try InstanceLock(try StateStore(directory: path))
    _ = consume lock
  }

  @Test(
    "Without the permission, every step says so in a sentence",
    .enabled(if: OwnNetwork.isAvailable, OwnNetwork.reason)
  )
  func unreadable() async throws {
    await #expect(processExitsWith: .success) {
      let base = "/tmp/martlet-unreadable-\(getpid())"
      defer { try? FileManager.default.removeItem(atPath: base) }
      let store = try StateStore(directory: base)
      try store.write("state", [1])
      try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: base)
      try #require(setgid(65534) == 0 && setuid(65534) == 0)
      do throws(HostError) {
        _ = try store.read("state")
        Issue.record("a private file was read")
      } catch {
        let text =
          "cannot read \(base)/state: permission denied. Run as root, or choose another place"
        #expect(error.description == text)
      }
      #expect(throws: HostError.self) { try store.write("state", [2]) }
      #expect(throws: HostError.self) { try store.write("other", [2]) }
      #expect(throws: HostError.self) { _ = try StateStore(directory: base) }
      #expect(throws: HostError.self) { _ = try StateStore(directory: base + "/below") }
      #expect(throws: HostError.self) { _ = try InstanceLock(store) }
      #expect(TunnelPrivileges.obstacle()?.hint.contains("CAP_NET_ADMIN") == true)
      #expect(throws: HostError.self) { _ = try TUNDevice.open(name: "martlet%d") }
    }
  }

  @Test(
    "On a full disk and on one that cannot be written, the old contents stay",
    .enabled(if: OwnNetwork.isAvailable, OwnNetwork.reason)
  )
  func fullDisk() throws {
    let scratch = try Scratch()
    let base = scratch.path
    let outcome = Mutex<Result<Void, any Error>?>(nil)
    // A thread of its own, so that the mount is seen by nobody else and goes with it.
    let thread = try DataThread(name: "full-disk") {
      let result = Result { try Self.fillDisk(base) }
      outcome.withLock { $0 = result }
    }
    thread.join()
    try #require(outcome.withLock { $0 }).get()
  }

  static func fillDisk(_ base: String) throws {
    try check(chost_unshare_mounts(), "make a mount namespace")
    try OwnNetwork.shell("mount -t tmpfs -o size=256k martlet \(base)")
    let store = try StateStore(directory: base + "/state")
    let old = [UInt8](repeating: 1, count: 100_000)
    try store.write("state", old)
    do throws(HostError) {
      try store.write("state", [UInt8](repeating: 2, count: 200_000))
      Issue.record("more was written than there is room")
    } catch {
      #expect(error.description.hasPrefix("cannot write \(base)/state/state.new: no space left"))
    }
    #expect(try store.read("state") == old)
    #expect(try Scratch.names(store.directory) == ["state"])
    // There is room again: the next write does it.
    try store.write("state", [3])
    #expect(try store.read("state") == [3])
    try OwnNetwork.shell("mount -o remount,ro \(base)")
    do throws(HostError) {
      try store.write("state", [4])
      Issue.record("a read-only disk was written")
    } catch {
      #expect(error.description.contains("read-only file system"))
    }
    #expect(try store.read("state") == [3])
    #expect(throws: HostError.self) { _ = try StateStore(directory: base + "/other") }
    #expect(throws: HostError.self) { _ = try InstanceLock(store) }
  }
}
