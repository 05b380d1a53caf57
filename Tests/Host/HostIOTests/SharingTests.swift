// SPDX-License-Identifier: Apache-2.0

import Addressing
import HostIO
import TestSupport
import Testing

@Suite("Sockets and queues that share", .enabled(if: OwnNetwork.isAvailable, OwnNetwork.reason))
struct SharingTests {
  /// By the low two bits of the byte at offset 4 of what begins with a 4; all else to the first.
  private static let program: [UDPSocket.Instruction] = [
    .loadByte(at: 0), .skip(ifEqual: 4, otherwise: 3), .loadByte(at: 4), .and(3), .end,
    .end(with: 0),
  ]

  @Test("Datagrams reach the socket that the program names, in either family")
  func steered() throws {
    try OwnNetwork.run {
      for text in ["127.0.0.1", "::1"] {
        let address = try #require(IPAddress(text))
        var first = try UDPSocket.bind(Endpoint(address, port: 0))
        let shared = first.localEndpoint
        try first.share()
        var second = try UDPSocket.bind(shared, joins: true)
        var third = try UDPSocket.bind(shared, joins: true)
        try first.steer(by: Self.program)
        var sender = try UDPSocket.bind(Endpoint(address, port: 0))
        let messages: [[UInt8]] = [
          [4, 0, 0, 0, 0, 10], [4, 0, 0, 0, 1, 11], [4, 0, 0, 0, 6, 12], [1, 0, 0, 0, 2, 13], [4],
        ]
        for message in messages {
          let result = unsafe message.withUnsafeBytes {
            unsafe sender.send($0, segmentSize: 0, to: shared)
          }
          #expect(result == .sent)
        }
        let atFirst = try UDPSocketTests.datagrams(13, at: &first)
        let atSecond = try UDPSocketTests.datagrams(6, at: &second)
        let atThird = try UDPSocketTests.datagrams(6, at: &third)
        #expect(atFirst == [messages[0], messages[3], messages[4]])
        #expect(atSecond == [messages[1]] && atThird == [messages[2]])
      }
    }
  }

  @Test("A port that is shared stays taken to those who do not join, and opens to those who do")
  func taken() throws {
    try OwnNetwork.run {
      let local = Endpoint(IPAddress(127, 0, 0, 1), port: 0)
      let first = try UDPSocket.bind(local)
      #expect(throws: HostError.self) { _ = try UDPSocket.bind(first.localEndpoint, joins: true) }
      try first.share()
      _ = try UDPSocket.bind(first.localEndpoint, joins: true)
      #expect(throws: HostError.self) { _ = try UDPSocket.bind(first.localEndpoint) }
    }
  }

  @Test(
    "What the host sends comes out of the queue of its destination, and of the first without one"
  )
  func queues() throws {
    try OwnNetwork.run {
      let first = try TUNDevice.open(name: "mtt3", queue: .firstOfSeveral)
      let steering = try TUNSteering(first)
      let second = try TUNDevice.open(name: first.name, queue: .another)
      let third = try TUNDevice.open(name: first.name, queue: .another)
      try TUNDeviceTests.up(first.name)
      try OwnNetwork.ip("addr", "add", "fd53::1/64", "dev", first.name, "nodad")
      let pairs: [(String, Int)] = [
        ("10.53.0.128/25", 1), ("10.53.0.200/32", 2), ("fd53::/64", 2), ("fd53::77/128", 1),
      ]
      for (text, queue) in pairs { try steering.set(try #require(IPPrefix(text)), to: queue) }
      try steering.remove(try #require(IPPrefix("10.53.0.3/32")))
      func send(_ text: String, from source: String) throws {
        var sender = try UDPSocket.bind(Endpoint(try #require(IPAddress(source)), port: 0))
        let target = Endpoint(try #require(IPAddress(text)), port: 9)
        let bytes: [UInt8] = [7]
        _ = unsafe bytes.withUnsafeBytes { unsafe sender.send($0, segmentSize: 0, to: target) }
      }
      let wanted: [(String, Int)] = [
        ("10.53.0.9", 0), ("10.53.0.129", 1), ("10.53.0.200", 2), ("fd53::5", 2), ("fd53::77", 1),
      ]
      for (target, queue) in wanted {
        for _ in 0..<3 {
          try send(target, from: target.contains(":") ? "fd53::1" : "10.53.0.1")
        }
        let destination = try #require(IPAddress(target))
        let seen = [
          Self.count(destination, first), Self.count(destination, second),
          Self.count(destination, third),
        ]
        #expect(seen[queue] == 3 && seen.reduce(0, +) == 3, "\(target): \(seen)")
      }
      try steering.remove(try #require(IPPrefix("10.53.0.200/32")))
      try send("10.53.0.200", from: "10.53.0.1")
      #expect(Self.count(IPAddress(10, 53, 0, 200), second) == 1)
    }
  }

  @Test("A second descriptor writes to the same queue")
  func duplicate() throws {
    try OwnNetwork.run {
      let first = try TUNDevice.open(name: "mtt4", queue: .firstOfSeveral)
      let copy = try first.duplicate()
      try TUNDeviceTests.up(first.name)
      var receiver = try UDPSocket.bind(Endpoint(IPAddress(10, 53, 0, 1), port: 0))
      let packet = TUNDeviceTests.packet([5], port: receiver.localEndpoint.port)
      #expect(unsafe packet.withUnsafeBytes { unsafe copy.write($0) } == .written)
      let datagrams = try UDPSocketTests.datagrams(1, at: &receiver)
      #expect(datagrams == [[5]])
    }
  }

  /// How many of the packets that wait in a queue go to `destination`.
  private static func count(_ destination: IPAddress, _ queue: borrowing TUNDevice) -> Int {
    var buffer = [UInt8](repeating: 0, count: TUNDevice.readCapacity)
    var count = 0
    while case .packet(let size) = unsafe buffer.withUnsafeMutableBytes({
      unsafe queue.read(into: $0)
    }) {
      let packet = buffer[TUNDevice.headerSize..<size]
      let at = packet.startIndex + (destination.isV4 ? 16 : 24)
      let bytes = packet[at..<at + destination.bytes.count]
      if Array(bytes) == destination.bytes { count += 1 }
    }
    return count
  }
}
