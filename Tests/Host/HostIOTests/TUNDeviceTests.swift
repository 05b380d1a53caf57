// SPDX-License-Identifier: Apache-2.0

import Addressing
import HostIO
import TestSupport
import Testing
import Timing

@Suite("TUN devices", .enabled(if: OwnNetwork.isAvailable, OwnNetwork.reason))
struct TUNDeviceTests {
  /// A UDP packet from 10.53.0.2 to 10.53.0.1 behind a header that asks for its checksum.
  static func packet(_ payload: [UInt8], port: UInt16) -> [UInt8] {
    let header: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    let total = 28 + payload.count
    var ip: [UInt8] = [
      0x45, 0, UInt8(total >> 8), UInt8(total & 255), 0, 1, 0x40, 0, 64, 17, 0, 0,
      10, 53, 0, 2, 10, 53, 0, 1,
    ]
    let sum = stride(from: 0, to: 20, by: 2).reduce(UInt32(0)) {
      $0 + UInt32(ip[$1]) << 8 + UInt32(ip[$1 + 1])
    }
    let folded = ~UInt16(truncatingIfNeeded: (sum & 0xFFFF) + sum >> 16)
    (ip[10], ip[11]) = (UInt8(folded >> 8), UInt8(folded & 255))
    let length = payload.count + 8
    // Checksum zero: none was computed, which IPv4 allows.
    let udp: [UInt8] = [
      0x30, 0x39, UInt8(port >> 8), UInt8(port & 255), UInt8(length >> 8), UInt8(length & 255),
      0, 0,
    ]
    return header + ip + udp + payload
  }

  static func up(_ name: String) throws {
    try OwnNetwork.ip("addr", "add", "10.53.0.1/24", "dev", name)
    try OwnNetwork.ip("link", "set", name, "up")
  }

  @Test("Packets written arrive in the host, whole or gathered from pieces")
  func write() throws {
    try OwnNetwork.run {
      let tun = try TUNDevice.open(name: "mtt0")
      let name = tun.name
      #expect(name == "mtt0")
      try Self.up(tun.name)
      let local = Endpoint(IPAddress(10, 53, 0, 1), port: 0)
      var receiver = try UDPSocket.bind(local)
      let packet = Self.packet([1, 2, 3], port: receiver.localEndpoint.port)
      let whole = unsafe packet.withUnsafeBytes { unsafe tun.write($0) }
      #expect(whole == .written)
      let gathered = unsafe packet.withUnsafeBytes { bytes in
        var pieces = GatherList()
        let first = unsafe pieces.append(UnsafeRawBufferPointer(rebasing: bytes[..<10]))
        let second = unsafe pieces.append(UnsafeRawBufferPointer(rebasing: bytes[10..<38]))
        let third = unsafe pieces.append(UnsafeRawBufferPointer(rebasing: bytes[38...]))
        #expect(first && second && third)
        #expect(pieces.byteCount == bytes.count)
        return tun.write(pieces)
      }
      #expect(gathered == .written)
      let datagrams = try UDPSocketTests.datagrams(6, at: &receiver)
      #expect(datagrams == [[1, 2, 3], [1, 2, 3]])
    }
  }

  @Test("Packets that the host sends are read with their header")
  func read() throws {
    try OwnNetwork.run {
      let tun = try TUNDevice.open(name: "mtt0")
      try Self.up(tun.name)
      var sender = try UDPSocket.bind(Endpoint(IPAddress(10, 53, 0, 1), port: 0))
      let to = Endpoint(IPAddress(10, 53, 0, 2), port: 4242)
      #expect(UDPSocketTests.send([9, 8, 7], segmentSize: 0, from: &sender, to: to) == .sent)
      var buffer = [UInt8](repeating: 0, count: TUNDevice.readCapacity)
      var poller = try Poller()
      try poller.add(tun.rawDescriptor, token: 1)
      // The host also says hello to IPv6 routers.
      while true {
        let ready = poller.wait(until: MonotonicClock.now() + .seconds(10))
        try #require(ready == 1)
        let result = unsafe buffer.withUnsafeMutableBytes { unsafe tun.read(into: $0) }
        guard case .packet(let count) = result else {
          Issue.record("nothing was read: \(result)")
          return
        }
        guard buffer[10] >> 4 == 4 else { continue }
        #expect(count == 10 + 28 + 3)
        #expect(Array(buffer[count - 3..<count]) == [9, 8, 7])
        break
      }
    }
  }

  @Test("Trains are accepted where the kernel knows them, and a malformed one is refused")
  func features() throws {
    try OwnNetwork.run {
      let tun = try TUNDevice.open(name: "mtt0")
      try Self.up(tun.name)
      let features = tun.features
      #expect(features.isSuperset(of: [.checksum, .tcp4, .tcp6]))
      let short: [UInt8] = [0, 1, 2]
      let refused = unsafe short.withUnsafeBytes { unsafe tun.write($0) }
      #expect(refused == .refused)
    }
  }

  @Test("A kernel that does not know an offload is asked for less, down to none")
  func olderKernels() throws {
    try OwnNetwork.run {
      let unknown = TUNDevice.Features(rawValue: 0x4000)
      let older = try TUNDevice.open(name: "mtt0", wanted: TUNDevice.Features.all.union(unknown))
      let features = older.features
      #expect(features == [.checksum, .tcp4, .tcp6, .congestion])
      let bare = try TUNDevice.open(name: "mtt1", wanted: [])
      let none = bare.features
      #expect(none == [])
      try Self.up("mtt1")
      var receiver = try UDPSocket.bind(Endpoint(IPAddress(10, 53, 0, 1), port: 0))
      let packet = Self.packet([4, 5], port: receiver.localEndpoint.port)
      let written = unsafe packet.withUnsafeBytes { unsafe bare.write($0) }
      #expect(written == .written)
      let datagrams = try UDPSocketTests.datagrams(2, at: &receiver)
      #expect(datagrams == [[4, 5]])
    }
  }

  @Test("A super-packet that the kernel does not take is refused, and the device lives on")
  func refusedTrain() throws {
    try OwnNetwork.run {
      let tun = try TUNDevice.open(name: "mtt0")
      try Self.up(tun.name)
      var receiver = try UDPSocket.bind(Endpoint(IPAddress(10, 53, 0, 1), port: 0))
      let port = receiver.localEndpoint.port
      // More segments than any kernel cuts.
      var train = Self.packet([UInt8](repeating: 1, count: 2000), port: port)
      train.replaceSubrange(0..<10, with: [1, 5, 28, 0, 1, 0, 20, 0, 6, 0])
      let refused = unsafe train.withUnsafeBytes { unsafe tun.write($0) }
      #expect(refused == .refused)
      let packet = Self.packet([4, 5], port: port)
      let written = unsafe packet.withUnsafeBytes { unsafe tun.write($0) }
      #expect(written == .written)
      let datagrams = try UDPSocketTests.datagrams(2, at: &receiver)
      #expect(datagrams == [[4, 5]])
    }
  }

  @Test("A device that is down refuses packets, and nothing waits to be read")
  func down() throws {
    try OwnNetwork.run {
      let tun = try TUNDevice.open(name: "mtt0")
      let packet = Self.packet([1], port: 9)
      let result = unsafe packet.withUnsafeBytes { unsafe tun.write($0) }
      #expect(result == .down)
      var buffer = [UInt8](repeating: 0, count: 100)
      let read = unsafe buffer.withUnsafeMutableBytes { unsafe tun.read(into: $0) }
      #expect(read == .wouldBlock)
    }
  }

  @Test("A device that was removed says so")
  func gone() throws {
    try OwnNetwork.run {
      let tun = try TUNDevice.open(name: "mtt0")
      try OwnNetwork.ip("link", "del", "mtt0")
      var buffer = [UInt8](repeating: 0, count: 100)
      let read = unsafe buffer.withUnsafeMutableBytes { unsafe tun.read(into: $0) }
      guard case .gone = read else {
        Issue.record("a removed device was read: \(read)")
        return
      }
    }
  }

  @Test("A second opener of the same device is refused with a sentence")
  func busy() throws {
    try OwnNetwork.run {
      let first = try TUNDevice.open(name: "mtt%d")
      let name = first.name
      #expect(name == "mtt0")
      do throws(HostError) {
        _ = try TUNDevice.open(name: "mtt0")
        Issue.record("a device was opened twice")
      } catch {
        #expect(error.description.hasPrefix("cannot open the TUN device mtt0: device or resource"))
      }
    }
  }

  @Test("Several queues share one interface; another daemon's first queue does not join them")
  func queues() throws {
    try OwnNetwork.run {
      let first = try TUNDevice.open(name: "mtt0", queue: .firstOfSeveral)
      let second = try TUNDevice.open(name: first.name, queue: .another)
      let names = [first.name, second.name]
      #expect(names == ["mtt0", "mtt0"])
      #expect(throws: HostError.self) {
        _ = try TUNDevice.open(name: "mtt0", queue: .firstOfSeveral)
      }
    }
  }
}

@Suite("Names of interfaces")
struct InterfaceNameTests {
  @Test("Names that no kernel or tool takes are refused")
  func names() {
    for good in ["martlet0", "tun%d", "a-b_c.d", "x"] { #expect(TUNDevice.isValidName(good)) }
    for bad in ["", "%d", ".", "..", "a/b", "a b", "sixteen-letters!", "0123456789abcdef", "ü"] {
      #expect(!TUNDevice.isValidName(bad))
    }
    #expect(throws: HostError.self) { _ = try TUNDevice.open(name: "../tun") }
  }
}
