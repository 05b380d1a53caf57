// SPDX-License-Identifier: Apache-2.0

import Addressing
import HostIO
import Testing
import Timing

@Suite("UDP sockets")
struct UDPSocketTests {
  static let loopback = Endpoint(IPAddress(127, 0, 0, 1), port: 0)
  static let loopback6 = Endpoint(IPAddress(high: 0, low: 1), port: 0)

  /// Waits until `socket` can be read.
  static func wait(_ socket: borrowing UDPSocket) throws {
    var poller = try Poller()
    try poller.add(socket.rawDescriptor, token: 1)
    let ready = poller.wait(until: MonotonicClock.now() + .seconds(10))
    #expect(ready == 1)
  }

  @Test("A datagram arrives with the endpoint of its sender", arguments: [loopback, loopback6])
  func oneDatagram(local: Endpoint) throws {
    var sender = try UDPSocket.bind(local)
    var receiver = try UDPSocket.bind(local)
    let bytes: [UInt8] = [1, 2, 3, 4, 5]
    let to = receiver.localEndpoint
    let result = unsafe bytes.withUnsafeBytes { unsafe sender.send($0, segmentSize: 0, to: to) }
    #expect(result == .sent)
    try Self.wait(receiver)
    var buffer = [UInt8](repeating: 0, count: UDPSocket.receiveCapacity)
    let received = unsafe buffer.withUnsafeMutableBytes { unsafe receiver.receive(into: $0) }
    #expect(received?.count == 5)
    #expect(received?.segmentSize == 5)
    #expect(received?.source == sender.localEndpoint)
    #expect(Array(buffer.prefix(5)) == bytes)
    let nothing = unsafe buffer.withUnsafeMutableBytes { unsafe receiver.receive(into: $0) }
    #expect(nothing == nil)
  }
}
