// SPDX-License-Identifier: Apache-2.0

import Packets
import TestSupport
import Testing

@Suite("Segmentation and coalescing")
struct OffloadTests {
  /// The packets that come out of one super-packet; nil when it is refused.
  private func segments(_ packet: [UInt8], _ offload: OffloadHeader) -> [[UInt8]]? {
    var copy = packet
    return copy.withPacketBytes { bytes in
      guard let segmenter = Segmenter(bytes, PacketView(bytes), offload) else { return nil }
      return (0..<segmenter.count).map { index in
        var target = [UInt8](repeating: 0xEE, count: segmenter.length(of: index))
        target.withPacketBytes { segmenter.write(index, of: bytes, to: $0) }
        return target
      }
    }
  }

  /// Joins packets as a driver does and returns the super-packets with their headers.
  private func joined(_ packets: [[UInt8]], udp: Bool = true) -> [([UInt8], OffloadHeader)] {
    var arena = packets.flatMap { $0 }
    let sizes = packets.map(\.count)
    return arena.withPacketBytes { bytes in
      var result: [([UInt8], OffloadHeader)] = []
      var current: Coalescer?
      var pieces: [PacketBytes] = []
      func flush() {
        guard let done = current else { return }
        let header = done.finish()
        result.append((pieces.flatMap(\.array), header))
        (current, pieces) = (nil, [])
      }
      var offset = 0
      for size in sizes {
        let packet = bytes.slice(offset..<offset + size)
        let view = PacketView(packet)
        offset += size
        if let skipped = current?.append(packet, view) {
          pieces.append(packet.slice(skipped..<view.length))
        } else {
          flush()
          current = Coalescer(packet, view, joining: udp ? .all : .tcp)
          pieces = [packet.slice(0..<view.length)]
        }
      }
      flush()
      return result
    }
  }

  @Test(
    "A TCP super-packet becomes intact segments and those become the same super-packet again",
    arguments: [false, true],
    [1, 999, 1000, 1001, 5000, 63_001]
  )
  func tcpRoundTrip(v6: Bool, size: Int) throws {
    let payload = Support.payload(size)
    let packet = Support.tcp(v6: v6, flags: [.ack, .psh], payload: payload)
    let header = v6 ? 72 : 52
    let offload = OffloadHeader(
      needsChecksum: true,
      segmentation: v6 ? .tcpV6 : .tcpV4,
      headerLength: 9999,
      segmentSize: 1000,
      checksumStart: v6 ? 40 : 20,
      checksumOffset: 16
    )
    let parts = try #require(segments(packet, offload))
    #expect(parts.count == (size + 999) / 1000)
    #expect(parts.flatMap { $0[header...] } == payload)
    for (index, part) in parts.enumerated() {
      #expect(Support.isIntact(part))
      let view = Support.view(part)
      #expect(view.length == part.count)
      #expect(view.flags == (index == parts.count - 1 ? [.ack, .psh] : .ack))
      if !v6 { #expect(part[5] == UInt8(42 + index)) }
    }
    let whole = joined(parts)
    #expect(whole.count == 1)
    let (bytes, how) = try #require(whole.first)
    #expect(bytes[header...] == packet[header...])
    guard parts.count > 1 else { return }
    #expect(how.segmentSize == 1000 && how.needsChecksum && how.headerLength == header)
    // The kernel finishes the checksum; so do we, to compare with the packet we started from.
    let finished = try #require(
      segments(
        bytes,
        OffloadHeader(
          needsChecksum: true,
          checksumStart: how.checksumStart,
          checksumOffset: how.checksumOffset
        )
      )
    )
    #expect(finished == [packet])
  }

  @Test("UDP super-packets keep their order and their short end", arguments: [false, true])
  func udpRoundTrip(v6: Bool) throws {
    let payload = Support.payload(4321)
    let packet = Support.udp(v6: v6, payload: payload)
    let offload = OffloadHeader(needsChecksum: true, segmentation: .udp, segmentSize: 1200)
    let parts = try #require(segments(packet, offload))
    #expect(parts.count == 4)
    #expect(parts.allSatisfy { Support.isIntact($0) })
    let whole = joined(parts)
    #expect(whole.count == 1)
    #expect(whole.first?.1.segmentation == .udp)
    #expect(whole.first.map { Array($0.0[(v6 ? 48 : 28)...]) } == payload)
    #expect(joined(parts, udp: false).count == 4)
  }

  @Test("A missing checksum is filled in", arguments: [false, true])
  func checksumOnly(v6: Bool) throws {
    let packet = Support.tcp(v6: v6, payload: Support.payload(777))
    let start = v6 ? 40 : 20
    var unfinished = packet
    let pseudo = InternetChecksum.pseudoHeader(
      from: v6 ? Support.source6 : Support.source4,
      to: v6 ? Support.destination6 : Support.destination4,
      proto: .tcp,
      length: packet.count - start
    )
    unfinished.withPacketBytes {
      $0.storeNative(InternetChecksum.folded(pseudo), at: start + 16)
    }
    let offload = OffloadHeader(needsChecksum: true, checksumStart: start, checksumOffset: 16)
    #expect(segments(unfinished, offload) == [packet])
  }

  @Test("What an offload header asks for must fit the packet")
  func refused() {
    let packet = Support.tcp(payload: Support.payload(100))
    func asked(_ header: OffloadHeader) -> Bool { segments(packet, header) != nil }
    #expect(!asked(OffloadHeader(segmentation: .tcpV6, segmentSize: 10)))
    #expect(!asked(OffloadHeader(segmentation: .udp, segmentSize: 10)))
    #expect(!asked(OffloadHeader(segmentation: .tcpV4, segmentSize: 0)))
    #expect(
      !asked(OffloadHeader(needsChecksum: true, checksumStart: 150, checksumOffset: 16))
    )
    var lying = packet
    lying[32] = 0xF0
    #expect(segments(lying, OffloadHeader(segmentation: .tcpV4, segmentSize: 10)) != nil)
    lying[32] = 0x40
    #expect(segments(lying, OffloadHeader(segmentation: .tcpV4, segmentSize: 10)) == nil)
    var fragment = packet
    fragment[6] = 0x20
    #expect(segments(fragment, OffloadHeader(segmentation: .tcpV4, segmentSize: 10)) == nil)
  }

  @Test("Packets with a damaged checksum are never joined")
  func damaged() throws {
    let first = Support.tcp(sequence: 0, flags: .ack, payload: Support.payload(100))
    let second = Support.tcp(sequence: 100, flags: .ack, payload: Support.payload(100, seed: 2))
    #expect(joined([first, second]).count == 1)
    for index in [0, 1] {
      var pair = [first, second]
      pair[index][90] ^= 1
      let result = joined(pair)
      #expect(result.map(\.0) == pair)
      #expect(result.allSatisfy { $0.1 == .none })
    }
  }

  @Test("Segments are joined only when nothing but their place differs")
  func notJoined() {
    let payload = Support.payload(100)
    let first = Support.tcp(sequence: 0, flags: .ack, payload: payload)
    func join(_ second: [UInt8]) -> Int { joined([first, second]).count }
    #expect(join(Support.tcp(sequence: 101, flags: .ack, payload: payload)) == 2)
    #expect(join(Support.tcp(sequence: 100, flags: [.ack, .fin], payload: payload)) == 1)
    #expect(join(Support.tcp(sequence: 100, flags: [.ack, .ece], payload: payload)) == 2)
    #expect(join(Support.tcp(sequence: 100, flags: [.ack, .cwr], payload: payload)) == 2)
    #expect(join(Support.tcp(sequence: 100, flags: [.ack, .rst], payload: payload)) == 2)
    let last = Support.tcp(sequence: 0, flags: [.ack, .fin], payload: payload)
    #expect(joined([last, Support.tcp(sequence: 100, flags: .ack, payload: payload)]).count == 2)
    #expect(join(Support.tcp(sequence: 100, flags: .ack, options: [], payload: payload)) == 2)
    #expect(
      join(
        Support.tcp(
          sequence: 100,
          flags: .ack,
          options: [1, 1, 8, 10, 0, 0, 0, 9, 0, 0, 0, 2],
          payload: payload
        )
      ) == 2
    )
    #expect(join(Support.tcp(sequence: 100, flags: .ack, payload: Support.payload(101))) == 2)
    #expect(join(Support.tcp(sequence: 100, flags: .ack, payload: [])) == 2)
    var otherClass = Support.tcp(sequence: 100, flags: .ack, payload: payload)
    otherClass[1] = 2
    otherClass.withPacketBytes { IPPacket.writeHeaderChecksum($0, length: 20) }
    #expect(join(otherClass) == 2)
    let pushed = Support.tcp(sequence: 0, flags: [.ack, .psh], payload: payload)
    let after = Support.tcp(sequence: 100, flags: .ack, payload: payload)
    #expect(joined([pushed, after]).count == 2)
    let short = Support.tcp(sequence: 100, flags: .ack, payload: Support.payload(10))
    let third = Support.tcp(sequence: 110, flags: .ack, payload: Support.payload(10))
    #expect(joined([first, short, third]).count == 2)
  }

  @Test("A super-packet ends before its length field overflows")
  func overflow() {
    let parts = (0..<60).map { index in
      Support.tcp(
        sequence: UInt32(index * 1300),
        flags: .ack,
        payload: Support.payload(1300, seed: UInt64(index))
      )
    }
    let whole = joined(parts)
    #expect(whole.count == 2)
    #expect(whole.allSatisfy { $0.0.count <= Coalescer.maximumLength })
  }

  @Test("The offload header is read as it was written, and unknown kinds are refused")
  func header() {
    let header = OffloadHeader(
      needsChecksum: true,
      segmentation: .tcpV6,
      headerLength: 72,
      segmentSize: 1208,
      checksumStart: 40,
      checksumOffset: 16
    )
    var bytes = [UInt8](repeating: 0, count: OffloadHeader.size)
    bytes.withPacketBytes { header.write(to: $0) }
    let read = bytes.withPacketBytes { OffloadHeader($0) }
    #expect(read == header)
    bytes[1] = 3
    let unknown = bytes.withPacketBytes { OffloadHeader($0) }
    #expect(unknown == nil)
    var short: [UInt8] = Array(bytes.dropLast())
    let truncated = short.withPacketBytes { OffloadHeader($0) }
    #expect(truncated == nil)
  }

  @Test("Mutated packets and offload headers never crash")
  func fuzz() throws {
    let corpus = try Support.corpus("Packets")
    var random = SeededGenerator(state: 20)
    for round in 0..<6000 {
      var packet = corpus[round % corpus.count]
      for _ in 0..<Int.random(in: 0...4, using: &random) where !packet.isEmpty {
        packet[Int.random(in: 0..<packet.count, using: &random)] = UInt8.random(
          in: 0...255,
          using: &random
        )
      }
      if round.isMultiple(of: 3) {
        packet.removeLast(Int.random(in: 0...packet.count, using: &random))
      }
      var header = (0..<10).map { _ in UInt8.random(in: 0...255, using: &random) }
      header[1] = [0, 1, 4, 5, header[1]][round % 5]
      header[3] = 0
      if round.isMultiple(of: 2) { (header[5], header[7], header[9]) = (0, 0, 0) }
      guard let offload = header.withPacketBytes({ OffloadHeader($0) }) else { continue }
      let parts = segments(packet, offload) ?? []
      _ = joined(parts + [packet])
    }
  }
}
