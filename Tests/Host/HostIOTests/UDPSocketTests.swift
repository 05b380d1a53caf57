// SPDX-License-Identifier: Apache-2.0

import Addressing
import Glibc
import TestSupport
import Testing
import Timing

@testable import HostIO

@Suite("UDP sockets")
struct UDPSocketTests {
  static let loopback = Endpoint(IPAddress(127, 0, 0, 1), port: 0)
  static let loopback6 = Endpoint(IPAddress(high: 0, low: 1), port: 0)

  /// Waits until `socket` can be read.
  static func wait(_ socket: borrowing UDPSocket) throws {
    var poller = try Poller()
    try poller.add(socket.rawDescriptor, token: 1)
    let ready = poller.wait(until: MonotonicClock.now() + .seconds(10))
    try #require(ready == 1)
  }

  static func send(
    _ bytes: [UInt8],
    segmentSize: Int,
    from socket: inout UDPSocket,
    to endpoint: Endpoint
  ) -> SendResult {
    unsafe bytes.withUnsafeBytes { unsafe socket.send($0, segmentSize: segmentSize, to: endpoint) }
  }

  /// Everything that arrives until `count` bytes have, as datagrams.
  static func datagrams(_ count: Int, at socket: inout UDPSocket) throws -> [[UInt8]] {
    var found: [[UInt8]] = []
    var buffer = [UInt8](repeating: 0, count: UDPSocket.receiveCapacity)
    while found.reduce(0, { $0 + $1.count }) < count {
      try wait(socket)
      while let received = unsafe buffer.withUnsafeMutableBytes({ unsafe socket.receive(into: $0) })
      {
        var rest = buffer[..<received.count]
        while !rest.isEmpty {
          found.append(Array(rest.prefix(received.segmentSize)))
          rest = rest.dropFirst(received.segmentSize)
        }
      }
    }
    return found
  }

  @Test("A datagram arrives with the endpoint of its sender", arguments: [loopback, loopback6])
  func oneDatagram(local: Endpoint) throws {
    var sender = try UDPSocket.bind(local)
    var receiver = try UDPSocket.bind(local)
    let result = Self.send(
      [1, 2, 3, 4, 5],
      segmentSize: 0,
      from: &sender,
      to: receiver.localEndpoint
    )
    #expect(result == .sent)
    try Self.wait(receiver)
    var buffer = [UInt8](repeating: 0, count: UDPSocket.receiveCapacity)
    let received = unsafe buffer.withUnsafeMutableBytes { unsafe receiver.receive(into: $0) }
    #expect(received?.count == 5)
    #expect(received?.segmentSize == 5)
    #expect(received?.source == sender.localEndpoint)
    #expect(Array(buffer.prefix(5)) == [1, 2, 3, 4, 5])
    let nothing = unsafe buffer.withUnsafeMutableBytes { unsafe receiver.receive(into: $0) }
    #expect(nothing == nil)
  }

  @Test("A train arrives as the datagrams it was cut into", arguments: [loopback, loopback6])
  func train(local: Endpoint) throws {
    var sender = try UDPSocket.bind(local)
    var receiver = try UDPSocket.bind(local)
    // More segments than a kernel takes at once, and a shorter tail.
    let bytes = (0..<200 * 700 + 33).map { UInt8(truncatingIfNeeded: $0 / 700) }
    let result = Self.send(bytes, segmentSize: 700, from: &sender, to: receiver.localEndpoint)
    #expect(result == .sent)
    let datagrams = try Self.datagrams(bytes.count, at: &receiver)
    #expect(datagrams.count == 201)
    #expect(datagrams.dropLast().allSatisfy { $0.count == 700 })
    #expect(datagrams.last?.count == 33)
    #expect(Array(datagrams.joined()) == bytes)
    let refused = sender.counters.trainsRefused
    #expect(refused == 0)
  }

  @Test("The bits of congestion arrive as they were sent", arguments: [loopback, loopback6])
  func trafficClass(local: Endpoint) throws {
    var sender = try UDPSocket.bind(local)
    var receiver = try UDPSocket.bind(local)
    let features = receiver.features
    #expect(features.tellsTrafficClass)
    let bytes = [UInt8](repeating: 5, count: 250)
    let to = receiver.localEndpoint
    var buffer = [UInt8](repeating: 0, count: UDPSocket.receiveCapacity)
    for bits in [0, 2, 3, 1, 0] as [UInt8] {
      for size in [250, 100] {
        let sent = unsafe bytes.withUnsafeBytes {
          unsafe sender.send($0, segmentSize: size, to: to, trafficClass: bits)
        }
        #expect(sent == .sent)
        var left = bytes.count
        while left > 0 {
          try Self.wait(receiver)
          let received = unsafe buffer.withUnsafeMutableBytes { unsafe receiver.receive(into: $0) }
          let train = try #require(received)
          #expect(train.trafficClass == bits)
          left -= train.count
        }
      }
    }
  }

  @Test("On a kernel that is known to damage trains, datagrams are sent one by one")
  func corruptingKernel() throws {
    var sender = try UDPSocket.bind(Self.loopback, kernel: KernelRelease("7.0.2-6-pve"))
    var receiver = try UDPSocket.bind(Self.loopback)
    let features = sender.features
    #expect(features.corruptsTrains && !features.sendsTrains)
    let bytes = (0..<1050).map { UInt8(truncatingIfNeeded: $0) }
    let result = Self.send(bytes, segmentSize: 100, from: &sender, to: receiver.localEndpoint)
    #expect(result == .sent)
    let datagrams = try Self.datagrams(bytes.count, at: &receiver)
    #expect(datagrams.count == 11)
    #expect(Array(datagrams.joined()) == bytes)
    var batch = SendBatch()
    _ = batch.append(0..<1050, segmentSize: 100, to: receiver.localEndpoint, trafficClass: 2)
    let sent = unsafe bytes.withUnsafeBytes { unsafe sender.send(batch, from: $0) }
    #expect(sent.sent == 1)
    let again = try Self.datagrams(bytes.count, at: &receiver)
    #expect(again == datagrams)
  }

  @Test("A kernel that refuses trains at run time is served without them, and nothing is lost")
  func refusedAtRunTime() throws {
    var sender = try UDPSocket.bind(Self.loopback)
    var receiver = try UDPSocket.bind(Self.loopback)
    // Without checksums the kernel refuses to cut.
    var one: Int32 = 1
    // SAFETY: the option is an integer.
    let option = unsafe setsockopt(
      sender.rawDescriptor,
      SOL_SOCKET,
      SO_NO_CHECK,
      &one,
      socklen_t(MemoryLayout<Int32>.size)
    )
    try #require(option == 0)
    let bytes = (0..<1050).map { UInt8(truncatingIfNeeded: $0) }
    let to = receiver.localEndpoint
    for round in 1...20 {
      let result = Self.send(bytes, segmentSize: 100, from: &sender, to: to)
      #expect(result == .sent)
      let datagrams = try Self.datagrams(bytes.count, at: &receiver)
      #expect(Array(datagrams.joined()) == bytes && datagrams.count == 11)
      let (counters, features) = (sender.counters, sender.features)
      #expect(counters.trainsRefused == UInt64(min(round, 16)))
      #expect(features.sendsTrains == (round < 16))
    }
  }

  @Test("A device that cannot checksum is found out by one refused train")
  func deviceWithoutChecksums() throws {
    var sender = try UDPSocket.bind(Self.loopback)
    let refuses = sender.refusesTrains(.failed(EIO))
    let features = sender.features
    #expect(refuses && !features.sendsTrains)
    let others = [SendResult.wouldBlock, .unreachable, .forbidden].map { sender.refusesTrains($0) }
    #expect(others == [false, false, false], "what has other reasons says nothing about trains")
  }

  @Test("A batch carries trains to several endpoints")
  func batch() throws {
    var sender = try UDPSocket.bind(Self.loopback)
    var first = try UDPSocket.bind(Self.loopback)
    var second = try UDPSocket.bind(Self.loopback)
    let arena = (0..<3000).map { UInt8(truncatingIfNeeded: $0) }
    var batch = SendBatch()
    _ = batch.append(0..<1000, segmentSize: 300, to: first.localEndpoint)
    _ = batch.append(1000..<1500, segmentSize: 500, to: second.localEndpoint)
    _ = batch.append(1500..<3000, segmentSize: 1000, to: first.localEndpoint)
    let result = unsafe arena.withUnsafeBytes { unsafe sender.send(batch, from: $0) }
    #expect(result.sent == 3)
    #expect(result.failed == 0)
    #expect(result.waiting == 0)
    let atFirst = try Self.datagrams(2500, at: &first)
    #expect(Array(atFirst.joined()) == Array(arena[0..<1000] + arena[1500...]))
    let atSecond = try Self.datagrams(500, at: &second)
    #expect(atSecond == [Array(arena[1000..<1500])])
  }

  @Test("A train of a batch that fails stops no other")
  func batchWithFailure() throws {
    var sender = try UDPSocket.bind(Self.loopback)
    var receiver = try UDPSocket.bind(Self.loopback)
    let arena = [UInt8](repeating: 7, count: 300)
    var batch = SendBatch()
    _ = batch.append(0..<100, segmentSize: 100, to: receiver.localEndpoint)
    // From a loopback address there is no way to another host.
    _ = batch.append(100..<200, segmentSize: 100, to: Endpoint(IPAddress(192, 0, 2, 77), port: 9))
    _ = batch.append(200..<300, segmentSize: 100, to: receiver.localEndpoint)
    let result = unsafe arena.withUnsafeBytes { unsafe sender.send(batch, from: $0) }
    #expect(result.sent == 2)
    #expect(result.failed == 1)
    #expect(result.lastFailure != nil)
    let arrived = try Self.datagrams(200, at: &receiver)
    #expect(arrived.count == 2)
  }

  @Test("A batch takes its maximum and no more")
  func batchBound() {
    var batch = SendBatch()
    for index in 0..<SendBatch.maximumCount {
      let fits = batch.append(index..<index + 1, segmentSize: 1, to: Self.loopback)
      #expect(fits)
    }
    let fits = batch.append(0..<1, segmentSize: 1, to: Self.loopback)
    #expect(!fits)
    batch.removeAll()
    let count = batch.count
    #expect(count == 0)
  }

  @Test("Several datagrams are received in one call")
  func receiveBatch() throws {
    var sender = try UDPSocket.bind(Self.loopback)
    var receiver = try UDPSocket.bind(Self.loopback)
    for number in 1...3 as ClosedRange<UInt8> {
      let result = Self.send([number], segmentSize: 0, from: &sender, to: receiver.localEndpoint)
      #expect(result == .sent)
    }
    // Too large for the batch's buffers: dropped and counted.
    let large = [UInt8](repeating: 4, count: 200)
    _ = Self.send(large, segmentSize: 0, from: &sender, to: receiver.localEndpoint)
    try Self.wait(receiver)
    var batch = ReceiveBatch(capacity: 8, bytesEach: 100)
    let count = receiver.receive(into: &batch)
    try #require(count == 4)
    for index in 0..<3 {
      let train = batch.train(index)
      #expect(train?.source == sender.localEndpoint)
      let bytes = unsafe Array(batch.bytes(index))
      #expect(bytes == [UInt8(index + 1)])
    }
    let last = batch.train(3)
    #expect(last == nil)
    #expect(receiver.counters.truncated == 1)
    let more = receiver.receive(into: &batch)
    #expect(more == 0)
  }

  @Test("A datagram larger than the buffer is dropped and counted")
  func truncated() throws {
    var sender = try UDPSocket.bind(Self.loopback)
    var receiver = try UDPSocket.bind(Self.loopback)
    let bytes = [UInt8](repeating: 1, count: 500)
    _ = Self.send(bytes, segmentSize: 0, from: &sender, to: receiver.localEndpoint)
    _ = Self.send([2], segmentSize: 0, from: &sender, to: receiver.localEndpoint)
    try Self.wait(receiver)
    var buffer = [UInt8](repeating: 0, count: 100)
    let received = unsafe buffer.withUnsafeMutableBytes { unsafe receiver.receive(into: $0) }
    #expect(received?.count == 1)
    #expect(receiver.counters.truncated == 1)
  }

  @Test("A port in use is refused with a sentence that says so")
  func portInUse() throws {
    let first = try UDPSocket.bind(Self.loopback)
    do throws(HostError) {
      _ = try UDPSocket.bind(first.localEndpoint)
      Issue.record("the port was bound twice")
    } catch {
      #expect(
        error.description
          == "cannot bind UDP port \(first.localEndpoint): address already in use. "
          + "Another daemon may be running; choose another port, or 0 for any"
      )
    }
  }

  @Test("An empty datagram is a datagram")
  func emptyDatagram() throws {
    var sender = try UDPSocket.bind(Self.loopback)
    var receiver = try UDPSocket.bind(Self.loopback)
    let byte: [UInt8] = [0]
    let to = receiver.localEndpoint
    let result = unsafe byte.withUnsafeBytes {
      unsafe sender.send(UnsafeRawBufferPointer(rebasing: $0[0..<0]), segmentSize: 0, to: to)
    }
    #expect(result == .sent)
    try Self.wait(receiver)
    var buffer = [UInt8](repeating: 0, count: 100)
    let received = unsafe buffer.withUnsafeMutableBytes { unsafe receiver.receive(into: $0) }
    #expect(received?.count == 0)
    #expect(received?.segmentSize == 1)
  }
}

@Suite("UDP sockets on their own network", .enabled(if: OwnNetwork.isAvailable, OwnNetwork.reason))
struct UDPSocketNetworkTests {
  @Test("Where there is no way, a send says so and the socket lives on")
  func unreachable() throws {
    try OwnNetwork.run {
      var v4 = try UDPSocket.bind(Endpoint(.unspecified(.v4), port: 0))
      let far = Endpoint(IPAddress(192, 0, 2, 1), port: 9)
      let result = UDPSocketTests.send([1], segmentSize: 0, from: &v4, to: far)
      #expect(result == .unreachable)
      let near = Endpoint(IPAddress(127, 0, 0, 1), port: v4.localEndpoint.port)
      let again = UDPSocketTests.send([1], segmentSize: 0, from: &v4, to: near)
      #expect(again == .sent)
    }
  }

  @Test("A train that the route's MTU does not carry is sent one by one")
  func trainBeyondMTU() throws {
    try OwnNetwork.run {
      try OwnNetwork.ip("link", "set", "lo", "mtu", "1300")
      var sender = try UDPSocket.bind(UDPSocketTests.loopback)
      var receiver = try UDPSocket.bind(UDPSocketTests.loopback)
      let bytes = [UInt8](repeating: 3, count: 1400 * 4 + 10)
      let to = receiver.localEndpoint
      let result = UDPSocketTests.send(bytes, segmentSize: 1400, from: &sender, to: to)
      #expect(result == .sent)
      let datagrams = try UDPSocketTests.datagrams(bytes.count, at: &receiver)
      #expect(datagrams.map(\.count) == [1400, 1400, 1400, 1400, 10])
      let counters = sender.counters
      #expect(counters.trainsRefused == 1)
      let features = sender.features
      #expect(features.sendsTrains, "another route may carry trains")
      for _ in 0..<20 {
        _ = UDPSocketTests.send(bytes, segmentSize: 1400, from: &sender, to: to)
      }
      let after = sender.features
      #expect(!after.sendsTrains, "a socket whose trains are always refused stops trying")
    }
  }

  @Test("A datagram that may not be fragmented and does not fit is too large")
  func tooLarge() throws {
    try OwnNetwork.run {
      try OwnNetwork.ip("link", "set", "lo", "mtu", "1300")
      var socket = try UDPSocket.bind(UDPSocketTests.loopback)
      try socket.setFragmentation(.never)
      let bytes = [UInt8](repeating: 3, count: 1400)
      let to = socket.localEndpoint
      let result = UDPSocketTests.send(bytes, segmentSize: 0, from: &socket, to: to)
      #expect(result == .tooLarge)
      try socket.setFragmentation(.whenNeeded)
      let again = UDPSocketTests.send(bytes, segmentSize: 0, from: &socket, to: to)
      #expect(again == .sent)
    }
  }

  @Test("A marked socket is known to the routing rules")
  func mark() throws {
    try OwnNetwork.run {
      try OwnNetwork.ip(
        "rule",
        "add",
        "priority",
        "1",
        "fwmark",
        "0x53000000/0xff000000",
        "unreachable"
      )
      // Rules come after the table of local addresses: reach beyond it.
      try OwnNetwork.ip("route", "add", "192.0.2.0/24", "dev", "lo")
      let to = Endpoint(IPAddress(192, 0, 2, 1), port: 9)
      var plain = try UDPSocket.bind(Endpoint(.unspecified(.v4), port: 0))
      let sent = UDPSocketTests.send([1], segmentSize: 0, from: &plain, to: to)
      #expect(sent == .sent)
      var marked = try UDPSocket.bind(Endpoint(.unspecified(.v4), port: 0), mark: 0x5300_0000)
      let features = marked.features
      #expect(features.isMarked)
      let refused = UDPSocketTests.send([1], segmentSize: 0, from: &marked, to: to)
      #expect(refused == .unreachable)
    }
  }

  @Test("The buffers are as large as asked")
  func buffers() throws {
    let socket = try UDPSocket.bind(UDPSocketTests.loopback)
    let features = socket.features
    #expect(features.receiveBufferSize >= UDPSocket.defaultBufferSize)
    #expect(features.sendBufferSize >= UDPSocket.defaultBufferSize)
  }
}
