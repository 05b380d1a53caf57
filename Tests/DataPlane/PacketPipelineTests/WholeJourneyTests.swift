// SPDX-License-Identifier: Apache-2.0

import Magicsock
import PacketPipeline
import Packets
import TestSupport
import Testing

@Suite("From host to host")
struct WholeJourneyTests {
  /// One packet as it should arrive, and the datagram that carries it.
  private struct Carried {
    var port: UInt16
    var packet: [UInt8]
    var datagram: [UInt8]
  }

  /// Hands super-packets of random flows to the first node; what comes out is put beside what it is.
  private static func sent(
    _ network: Network,
    _ flows: inout [RandomFlow],
    count: Int,
    _ random: inout SeededGenerator
  ) -> [Carried] {
    let node = network.nodes[0]
    var carried: [Carried] = []
    var waiting: [(port: UInt16, packet: [UInt8])] = []
    func collect() {
      let datagrams = node.effects.trains.flatMap { train in
        let bytes = node.effects.bytes(of: train).array
        return stride(from: 0, to: bytes.count, by: train.segmentSize).map {
          Array(bytes[$0..<min($0 + train.segmentSize, bytes.count)])
        }
      }
      #expect(datagrams.count == waiting.count)
      carried += zip(waiting, datagrams).map {
        Carried(port: $0.port, packet: $0.packet, datagram: $1)
      }
      waiting = []
      node.effects.reset()
    }
    for _ in 0..<count {
      let flow = Int.random(in: flows.indices, using: &random)
      var (packet, offload, wire) = flows[flow].next(&random)
      waiting += wire.map { (flows[flow].port, $0) }
      packet.withPacketBytes {
        node.pipeline.outbound($0, offload: offload, at: network.moment, into: &node.effects)
      }
      if !node.effects.hasRoom { collect() }
    }
    collect()
    return carried
  }

  /// Datagrams as a kernel hands them over: those of one size together, a shorter one at the end.
  private static func trains(
    _ datagrams: [[UInt8]]
  ) -> [(bytes: [UInt8], segmentSize: Int)] {
    var trains: [(bytes: [UInt8], segmentSize: Int)] = []
    var isOpen = false
    for datagram in datagrams {
      if isOpen, let last = trains.last, datagram.count <= last.segmentSize,
        last.bytes.count + datagram.count <= 65_000
      {
        trains[trains.count - 1].bytes += datagram
        isOpen = datagram.count == last.segmentSize
      } else {
        trains.append((datagram, datagram.count))
        isOpen = true
      }
    }
    return trains
  }

  @Test(
    "What a host sends in super-packets arrives as its packets, byte for byte, each flow in order",
    arguments: 1...40 as ClosedRange<UInt64>
  )
  func intact(seed: UInt64) {
    check(seed: seed) { carried, _ in carried }
  }

  @Test(
    "What is lost, repeated and reordered on the way is lost and reordered, and never altered",
    arguments: 1...40 as ClosedRange<UInt64>
  )
  func disturbed(seed: UInt64) {
    check(seed: seed) { carried, random in
      var arriving = carried.filter { _ in Int.random(in: 0..<10, using: &random) > 0 }
      for _ in 0..<Int.random(in: 0...40, using: &random) where !arriving.isEmpty {
        let from = Int.random(in: arriving.indices, using: &random)
        let moved = Bool.random(using: &random) ? arriving.remove(at: from) : arriving[from]
        let to = Int.random(in: max(0, from - 20)...min(arriving.count, from + 20), using: &random)
        arriving.insert(moved, at: to)
      }
      return arriving
    }
  }

  /// A packet without the number that means nothing where it may not be fragmented (RFC 6864 §4).
  private static func unnumbered(_ packet: [UInt8]) -> [UInt8] {
    var packet = packet
    guard packet[0] >> 4 == 4, packet[6] & 0x40 != 0 else { return packet }
    packet.withPacketBytes { bytes in
      guard InternetChecksum.isIntact(InternetChecksum.sum(bytes, 0..<20)) else { return }
      (bytes[4], bytes[5]) = (0, 0)
      IPPacket.writeHeaderChecksum(bytes, length: 20)
    }
    return packet
  }

  private func check(
    seed: UInt64,
    _ disturb: ([Carried], inout SeededGenerator) -> [Carried]
  ) {
    var random = SeededGenerator(state: seed)
    let network = Network()
    let (here, there) = (network.nodes[0], network.nodes[1])
    network.settleSession(from: here, to: there)
    there.pipeline.joining = [.all, .all, .tcp, [.udp4], []].randomElement(using: &random) ?? .all
    var flows = (0..<Int.random(in: 1...10, using: &random)).map {
      RandomFlow($0, from: here, to: there, &random)
    }
    let carried = Self.sent(network, &flows, count: 12, &random)
    let arriving = disturb(carried, &random)
    for train in Self.trains(arriving.map(\.datagram)) {
      network.inject(
        train.bytes,
        segmentSize: train.segmentSize,
        to: there,
        from: .direct(here.endpoint)
      )
    }
    var seen: Set<[UInt8]> = []
    let first = arriving.filter { seen.insert($0.datagram).inserted }
    let expected = Dictionary(grouping: first, by: \.port).mapValues { $0.map(\.packet) }
    let taken = Dictionary(grouping: there.taken) { HostPacket.view($0).destinationPort }
    #expect(taken.keys == expected.keys)
    for (port, packets) in expected {
      // Not compared by `#expect`, which would print megabytes.
      let isEqual = taken[port]?.map(Self.unnumbered) == packets.map(Self.unnumbered)
      #expect(isEqual, "the flow to port \(port)")
    }
    #expect(here.fallenOff == 0)
    let longest = there.delivered.map(\.bytes.count).max() ?? 0
    #expect(longest <= Coalescer.maximumLength + 40)
  }
}
