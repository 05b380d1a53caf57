// SPDX-License-Identifier: Apache-2.0

import DERP
import HostIO
import Keys
import Testing
import Timing

@testable import DataPlaneDriver

@Suite("What waits between threads")
struct OutboxTests {
  private func train(_ count: Int, mark: UInt8 = 0) -> RelayTrain {
    RelayTrain(
      destination: .zero,
      bytes: [UInt8](repeating: mark, count: count),
      segmentSize: 1000,
      queuedAt: MonotonicClock.now()
    )
  }

  @Test("What was added comes out in order, all at once")
  func order() async {
    let outbox = RelayOutbox()
    for mark in 0..<5 { outbox.add(train(10, mark: UInt8(mark))) }
    let trains = await outbox.take()
    #expect(trains.map { $0.bytes[0] } == [0, 1, 2, 3, 4])
    #expect(outbox.used == 5)
  }

  @Test("When the relay is slower the oldest fall off, and are counted")
  func overflow() async {
    let outbox = RelayOutbox()
    let size = RelayOutbox.maximumBytes / 128
    for mark in 0..<200 { outbox.add(train(size, mark: UInt8(mark))) }
    let trains = await outbox.take()
    #expect(trains.map { $0.bytes[0] } == (72..<200).map { UInt8($0) })
    #expect(outbox.dropped == UInt64(72 * ((size + 999) / 1000)))
    outbox.add(train(10 * RelayOutbox.maximumBytes, mark: 7))
    let large = await outbox.take()
    #expect(large.count == 1)
  }

  @Test("Who waits gets what comes, and nothing once it is cancelled")
  func waiting() async {
    let outbox = RelayOutbox()
    let first = Task { await outbox.take() }
    outbox.add(train(1, mark: 9))
    #expect(await first.value.map { $0.bytes[0] } == [9])
    let second = Task { await outbox.take() }
    second.cancel()
    #expect(await second.value.isEmpty)
    outbox.add(train(1, mark: 8))
    #expect(await outbox.take().count == 1)
  }

  @Test("A region is asked for once, until it is forgotten")
  func wants() async {
    let outboxes = RelayOutboxes()
    var wants = outboxes.wants.makeAsyncIterator()
    for region in [1, 1, 2, 1] { outboxes.add(train(1), through: RegionID(region)) }
    #expect(await wants.next() == RegionID(1))
    #expect(await wants.next() == RegionID(2))
    outboxes.forget(RegionID(1))
    outboxes.add(train(1), through: RegionID(1))
    #expect(await wants.next() == RegionID(1))
    #expect(await outboxes.box(of: RegionID(1)).take().count == 1)
    // Three were forgotten.
    #expect(outboxes.dropped == 3)
  }

  @Test("Relayed packets are bounded by their bytes; all else is kept")
  func mailbox() throws {
    let signal = try WakeSignal()
    let mailbox = Mailbox(signal)
    let packet = RelayedPacket(source: .zero, bytes: [UInt8](repeating: 0, count: 1 << 20))
    for _ in 0..<6 { mailbox.post(.relayed([packet], from: RegionID(1))) }
    for _ in 0..<10 { mailbox.post(.relayHeard(RegionID(1))) }
    #expect(mailbox.droppedPackets == 2)
    #expect(signal.consume())
    #expect(mailbox.drain().count == 14)
    mailbox.post(.relayed([packet], from: RegionID(1)))
    #expect(mailbox.droppedPackets == 2)
    #expect(mailbox.close().count == 1)
    #expect(!mailbox.post(.stop))
  }
}
