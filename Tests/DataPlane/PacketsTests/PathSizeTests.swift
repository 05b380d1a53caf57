// SPDX-License-Identifier: Apache-2.0

import Addressing
import Bytes
import Packets
import TestSupport
import Testing

@Suite("Packets that are too large for a path")
struct PathSizeTests {
  private static let ends: [(IPAddress, IPAddress)] = [
    (IPAddress(100, 64, 0, 1), IPAddress(100, 64, 0, 2)),
    (
      IPAddress(high: 0xFD7A_115C_A1E0_0000, low: 1), IPAddress(high: 0xFD7A_115C_A1E0_0000, low: 2)
    ),
  ]

  /// A whole TCP packet with these options, its checksum right.
  private func tcp(
    _ ends: (IPAddress, IPAddress),
    flags: UInt8 = 2,
    options: [UInt8],
    payload: Int = 0
  ) -> [UInt8] {
    var writer = ByteWriter()
    writer.bigEndian(UInt16(4000))
    writer.bigEndian(UInt16(80))
    writer.write([0, 0, 0, 1, 0, 0, 0, 0, UInt8((20 + options.count) / 4) << 4, flags])
    writer.write([1, 0, 0, 0, 0, 0] + options + [UInt8](repeating: 9, count: payload))
    var segment = writer.bytes
    let length = segment.count
    segment.withPacketBytes { bytes in
      let pseudo = InternetChecksum.pseudoHeader(
        from: ends.0,
        to: ends.1,
        proto: .tcp,
        length: length
      )
      let sum = pseudo &+ InternetChecksum.sum(bytes, 0..<length)
      bytes.storeNative(InternetChecksum.field(sum), at: 16)
    }
    return IPPacket.build(from: ends.0, to: ends.1, proto: .tcp, payload: segment)
  }

  private func isIntact(_ packet: [UInt8]) -> Bool {
    var packet = packet
    return packet.withPacketBytes { bytes in
      let view = PacketView(bytes)
      let length = view.length - view.transportOffset
      let pseudo = InternetChecksum.pseudoHeader(
        from: view.source,
        to: view.destination,
        proto: view.proto,
        length: length
      )
      let sum = InternetChecksum.sum(bytes, view.transportOffset..<view.length)
      return InternetChecksum.isIntact(sum &+ pseudo)
    }
  }

  private func lower(_ packet: inout [UInt8], to most: Int, needsChecksum: Bool = false) -> Bool {
    packet.withPacketBytes {
      SegmentSizeOption.lower($0, PacketView($0), to: most, needsChecksum: needsChecksum)
    }
  }

  @Test(
    "The segment size option is lowered wherever it stands, and the checksum stays right",
    arguments: 0...1
  )
  func lowered(family: Int) {
    for options in [
      [2, 4, 5, 0xB4], [1, 1, 2, 4, 5, 0xB4, 1, 1], [1, 2, 4, 5, 0xB4, 1, 1, 1],
      [8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 2, 4, 5, 0xB4, 1, 1], [1, 1, 1, 2, 4, 5, 0xB4, 0],
    ] as [[UInt8]] {
      var packet = tcp(Self.ends[family], options: options)
      #expect(isIntact(packet))
      #expect(lower(&packet, to: 460))
      #expect(isIntact(packet), "\(options)")
      #expect(!lower(&packet, to: 460) && !lower(&packet, to: 1000))
      #expect(packet.suffix(options.count).contains(0xCC))
    }
  }

  @Test("Packets without the option, or with a damaged one, stay as they are")
  func untouched() {
    for (flags, options) in [
      (2, []), (2, [1, 1, 1, 1]), (2, [0, 2, 4, 5]), (2, [2, 3, 5, 0xB4]), (2, [8, 0, 2, 4]),
      (2, [1, 1, 2, 4]), (2, [3, 1, 2, 4]), (16, [2, 4, 5, 0xB4]),
    ] as [(UInt8, [UInt8])] {
      var packet = tcp(Self.ends[0], flags: flags, options: options)
      let before = packet
      #expect(!lower(&packet, to: 400) && packet == before)
    }
    var generator = SeededGenerator(state: 21)
    let good = tcp(Self.ends[0], options: [1, 2, 4, 5, 0xB4, 1, 1, 1])
    for _ in 0..<5000 {
      var mutated = good.mutated(using: &generator)
      _ = lower(&mutated, to: 400)
    }
  }

  @Test("Senders of packets that may not be cut are told how large one may be", arguments: 0...1)
  func told(family: Int) throws {
    var packet = tcp(Self.ends[family], flags: 16, options: [], payload: 1200)
    if family == 0 { packet[6] = 0x40 }
    let answer = packet.withPacketBytes {
      PacketTooBig.packet(about: $0, PacketView($0), mtu: 1290)
    }
    var told = try #require(answer)
    let view = told.withPacketBytes { PacketView($0) }
    #expect(view.source == Self.ends[family].1 && view.destination == Self.ends[family].0)
    #expect(view.isICMPError)
    #expect(told.count <= 20 + 20 + 8 + 128)
    let mtu = told.withPacketBytes { $0.uint16(at: view.transportOffset + 6) }
    #expect(mtu == 1290)
    #expect(Array(told.suffix(128)) == Array(packet.prefix(128)))
    if family == 1 { #expect(isIntact(told)) }
    // Nobody is told of an error about an error.
    let again = told.withPacketBytes { PacketTooBig.packet(about: $0, PacketView($0), mtu: 1290) }
    #expect(again == nil)
  }

  @Test("Not told is who lets routers cut, and who need not send less")
  func untold() {
    var cuttable = tcp(Self.ends[0], flags: 16, options: [], payload: 1200)
    var v6 = tcp(Self.ends[1], flags: 16, options: [], payload: 1200)
    func tell(_ packet: inout [UInt8], _ mtu: Int) -> [UInt8]? {
      packet.withPacketBytes { PacketTooBig.packet(about: $0, PacketView($0), mtu: mtu) }
    }
    let (one, other) = (tell(&cuttable, 900), tell(&v6, 1200))
    #expect(one == nil && other == nil)
  }
}
