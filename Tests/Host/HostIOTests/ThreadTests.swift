// SPDX-License-Identifier: Apache-2.0

import HostIO
import Synchronization
import Testing
import Timing

@Suite("Threads, wake signals and the poller")
struct ThreadTests {
  @Test("A signal wakes a thread that waits without a deadline")
  func wake() throws {
    let signal = try WakeSignal()
    let woken = try WakeSignal()
    let thread = try DataThread(name: "martlet-a-name-longer-than-fifteen") {
      do {
        var poller = try Poller()
        try poller.add(signal.rawDescriptor, token: 42)
        let count = poller.wait(until: nil)
        if count == 1, poller[0].token == 42, poller[0].isReadable, signal.consume() {
          woken.signal()
        }
      } catch {
        Issue.record(error)
      }
    }
    signal.signal()
    thread.join()
    thread.join()
    #expect(woken.consume())
    #expect(!signal.consume())
  }

  @Test("Signals given before anybody looks are one")
  func merged() throws {
    let signal = try WakeSignal()
    #expect(!signal.consume())
    signal.signal()
    signal.signal()
    #expect(signal.consume())
    #expect(!signal.consume())
  }

  @Test("A wait ends at its deadline, and at once when that has passed")
  func deadline() throws {
    var poller = try Poller()
    let start = MonotonicClock.now()
    let none = poller.wait(until: start + .milliseconds(5))
    #expect(none == 0)
    #expect(MonotonicClock.now() - start >= .milliseconds(5))
    let past = poller.wait(until: start)
    #expect(past == 0)
  }

  @Test("A descriptor that was removed is waited for no longer")
  func removed() throws {
    let signal = try WakeSignal()
    var poller = try Poller()
    try poller.add(signal.rawDescriptor, token: 1)
    signal.signal()
    let found = poller.wait(until: MonotonicClock.now())
    #expect(found == 1)
    try poller.update(signal.rawDescriptor, token: 2, for: .writing)
    let writable = poller.wait(until: MonotonicClock.now())
    #expect(writable == 1)
    #expect(poller[0].token == 2)
    #expect(poller[0].isWritable)
    #expect(!poller[0].isBroken)
    try poller.remove(signal.rawDescriptor)
    let gone = poller.wait(until: MonotonicClock.now())
    #expect(gone == 0)
  }

  @Test("A thread owns what its body captures, and lets go of it")
  func captures() throws {
    final class Flag: Sendable {
      let count = Atomic(0)
    }
    let flag = Flag()
    weak var released: AnyObject?
    try {
      final class Box: Sendable {}
      let box = Box()
      released = box
      let thread = try DataThread(name: "capture") {
        _ = box
        flag.count.wrappingAdd(1, ordering: .relaxed)
      }
      thread.join()
    }()
    #expect(flag.count.load(ordering: .relaxed) == 1)
    #expect(released == nil)
  }

  @Test("The clock goes forward, and the wall clock tells a date of this century")
  func clocks() {
    let first = MonotonicClock.now()
    #expect(MonotonicClock.now() >= first)
    #expect(wallClock() > Timestamp(seconds: 1_700_000_000))
  }
}
