// SPDX-License-Identifier: Apache-2.0

import Addressing
import Bytes
import Keys
import Packets
import TestSupport
import Testing

@testable import PacketPipeline

@Suite("Joining of several flows")
struct JoinerTests {
  /// One conversation whose packets are made up in order.
  private struct Conversation {
    let isTCP: Bool
    let source: IPAddress
    let destination: IPAddress
    let port: UInt16
    let options: [UInt8]
    let trafficClass: UInt8
    let mayBeFragmented: Bool
    let size: Int
    var identification: UInt16
    var sequence: UInt32

    init(_ number: Int, _ random: inout SeededGenerator) {
      let v6 = Bool.random(using: &random)
      isTCP = Bool.random(using: &random)
      source = v6 ? IPAddress(high: 0xFD7A << 48, low: 7) : IPAddress(100, 64, 0, 7)
      destination = v6 ? IPAddress(high: 0xFD7A << 48, low: 1) : IPAddress(100, 64, 0, 1)
      port = UInt16(1000 + number)
      options =
        [[], [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2], [1, 1, 1, 1]].randomElement(using: &random)
        ?? []
      trafficClass = UInt8.random(in: 0...255, using: &random)
      mayBeFragmented = Bool.random(using: &random)
      size = [1, 2, 63, 64, 500, 1199, 1200].randomElement(using: &random) ?? 64
      identification = UInt16.random(in: 0...UInt16.max, using: &random)
      sequence = UInt32.random(in: 0...UInt32.max, using: &random)
    }

    /// The next packet; now and then with a shorter end, a push, or something that forbids joining.
    mutating func next(_ random: inout SeededGenerator) -> [UInt8] {
      let isShort = Int.random(in: 0..<12, using: &random) == 0
      let count = isShort ? Int.random(in: 1...size, using: &random) : size
      let payload = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
      var writer = ByteWriter()
      writer.bigEndian(UInt16(443))
      writer.bigEndian(port)
      if isTCP {
        let flags: [TCPFlags] = [[.psh], [.fin], [.psh, .fin], [.ece], [.cwr], [.rst], [.syn]]
        let odd = Int.random(in: 0..<10, using: &random) == 0
        let extra = odd ? flags.randomElement(using: &random) ?? [] : []
        writer.bigEndian(sequence)
        writer.bigEndian(UInt32(9))
        let offset = UInt8((20 + options.count) / 4) << 4
        writer.write([offset, extra.union(.ack).rawValue, 1, 2, 0, 0, 0, 0])
        writer.write(options)
        sequence &+= UInt32(count)
      } else {
        writer.bigEndian(UInt16(8 + count))
        writer.bigEndian(UInt16(0))
      }
      writer.write(payload)
      defer { identification &+= 1 }
      return finished(writer.bytes, &random)
    }

    private func finished(_ upper: [UInt8], _ random: inout SeededGenerator) -> [UInt8] {
      let proto: IPProtocol = isTCP ? .tcp : .udp
      var packet = IPPacket.build(
        from: source,
        to: destination,
        proto: proto,
        identification: identification,
        payload: upper
      )
      let start = source.isV4 ? 20 : 40
      let isDamaged = Int.random(in: 0..<25, using: &random) == 0
      packet.withPacketBytes { bytes in
        if source.isV4 {
          bytes[1] = trafficClass
          if !mayBeFragmented { bytes[6] = 0x40 }
          IPPacket.writeHeaderChecksum(bytes, length: 20)
        } else {
          bytes[0] = 0x60 | trafficClass >> 4
          bytes[1] = trafficClass << 4
        }
        let pseudo = InternetChecksum.pseudoHeader(
          from: source,
          to: destination,
          proto: proto,
          length: upper.count
        )
        let sum = pseudo &+ InternetChecksum.sum(bytes, start..<bytes.count)
        let field = InternetChecksum.field(sum)
        bytes.storeNative(field == 0 && !isTCP ? 0xFFFF : field, at: start + (isTCP ? 16 : 6))
        if isDamaged { bytes[bytes.count - 1] ^= 0x55 }
      }
      return packet
    }
  }

  /// What belongs to no conversation: a fragment, an echo, a datagram without checksum.
  private static func stray(_ random: inout SeededGenerator) -> [UInt8] {
    let proto: IPProtocol = [.icmp, .udp, .tcp].randomElement(using: &random) ?? .icmp
    var packet = IPPacket.build(
      from: IPAddress(100, 64, 0, 9),
      to: IPAddress(100, 64, 0, 1),
      proto: proto,
      payload: (0..<40).map { _ in UInt8.random(in: 0...255, using: &random) }
    )
    if Bool.random(using: &random) {
      packet[6] = 0x20
    } else if proto == .tcp {
      packet[32] = 0xF0
    }
    return packet
  }

  /// Joins `packets`, which arrive in one buffer, and cuts apart again what comes out.
  private func passed(
    _ packets: [[UInt8]],
    _ joiner: inout Joiner,
    joining: Joining
  ) -> (packets: [[UInt8]], deliveries: Int) {
    var buffer = packets.flatMap { $0 }
    var result: [[UInt8]] = []
    var effects = PipelineEffects()
    var deliveries = 0
    buffer.withPacketBytes { bytes in
      var offset = 0
      for packet in packets {
        let slice = bytes.slice(offset..<offset + packet.count)
        offset += packet.count
        let view = PacketView(slice)
        if let slot = joiner.slot(of: view, from: PeerID(7)) {
          joiner.add(slice, view, at: slot, joining: joining, into: &effects)
        } else {
          joiner.begin(slice, view, from: PeerID(7), joining: joining, into: &effects)
        }
      }
      joiner.finish(into: &effects)
      for delivery in effects.deliveries {
        let whole = effects.pieces[delivery.pieces].flatMap(\.array)
        #expect(whole.count <= Coalescer.maximumLength)
        result += delivery.header == .none ? [whole] : effects.packets(of: delivery)
      }
      deliveries = effects.deliveries.count
    }
    let isEmpty = joiner.isEmpty
    #expect(isEmpty)
    return (result, deliveries)
  }

  private struct Key: Hashable {
    var source: IPAddress
    var kind: PacketView.Kind
    var port: UInt16
  }

  private func byFlow(_ packets: [[UInt8]]) -> [Key: [[UInt8]]] {
    Dictionary(grouping: packets) { packet in
      let view = HostPacket.view(packet)
      // Strays share one order among themselves only if they have ports or none.
      return Key(source: view.source, kind: view.kind, port: view.destinationPort)
    }
  }

  @Test(
    "What is joined and cut again is what came, byte for byte and in the order of each flow",
    arguments: 1...60 as ClosedRange<UInt64>
  )
  func property(seed: UInt64) {
    var random = SeededGenerator(state: seed)
    var flows = (0..<Int.random(in: 1...12, using: &random)).map { Conversation($0, &random) }
    var joiner = Joiner()
    let joining: Joining = [.all, .all, .tcp, [.udp4], []].randomElement(using: &random) ?? .all
    for _ in 0..<6 {
      var packets: [[UInt8]] = []
      while packets.count < Int.random(in: 1...100, using: &random) {
        let flow = Int.random(in: flows.indices, using: &random)
        for _ in 0..<Int.random(in: 1...8, using: &random) {
          packets.append(flows[flow].next(&random))
        }
        if Int.random(in: 0..<6, using: &random) == 0 { packets.append(Self.stray(&random)) }
      }
      let (out, deliveries) = passed(packets, &joiner, joining: joining)
      #expect(out.count == packets.count)
      #expect(deliveries <= packets.count)
      #expect(byFlow(out) == byFlow(packets))
    }
  }

  @Test("Flows that come interleaved are joined each for itself")
  func interleaved() {
    var random = SeededGenerator(state: 5)
    var flows: [Conversation] = []
    while flows.count < Joiner.maximumFlows {
      let flow = Conversation(flows.count, &random)
      if flow.size == 1200 { flows.append(flow) }
    }
    var packets: [[UInt8]] = []
    for _ in 0..<6 {
      for index in flows.indices { packets.append(flows[index].next(&random)) }
    }
    var joiner = Joiner()
    let (out, deliveries) = passed(packets, &joiner, joining: .all)
    #expect(byFlow(out) == byFlow(packets))
    #expect(deliveries < packets.count / 2)
  }

  @Test("A super-packet of UDP has no more datagrams than every kernel takes")
  func bounds() {
    var random = SeededGenerator(state: 1)
    var flow = Conversation(0, &random)
    while flow.isTCP || flow.size != 64 { flow = Conversation(0, &random) }
    var joiner = Joiner()
    var packets: [[UInt8]] = []
    while packets.count < 200 {
      let packet = flow.next(&random)
      if packet.count == (flow.source.isV4 ? 92 : 112) { packets.append(packet) }
    }
    let (out, deliveries) = passed(packets, &joiner, joining: .all)
    #expect(out.count == 200)
    #expect(deliveries >= 4)
  }
}
