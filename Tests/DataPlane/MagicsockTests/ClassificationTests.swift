// SPDX-License-Identifier: Apache-2.0

import Addressing
import Disco
import Magicsock
import TestSupport
import Testing
import Timing

private struct GeneveVectors: Decodable {
  struct Header: Decodable {
    var version: UInt8
    var control: Bool
    var `protocol`: String
    var vni: UInt32
    var header: String
  }
  struct Datagram: Decodable {
    var name: String
    var packet: String
    var `class`: String
    var geneve: Bool
    var control: Bool?
  }
  var headers: [Header]
  var demux: [Datagram]
}

private struct BetterVectors: Decodable {
  struct Path: Decodable {
    var addr: String?
    var ms: Int
    var vni: UInt32?
    var mtu: Int

    var quality: PathQuality? {
      addr.flatMap { Endpoint($0) }.map {
        PathQuality(
          endpoint: $0,
          virtualNetwork: vni,
          latency: .milliseconds(ms),
          wireMTU: mtu
        )
      }
    }
  }
  struct Row: Decodable {
    var a: Path
    var b: Path
    var aBetter: Bool
  }
  var rows: [Row]
}

@Suite("Classification and comparison")
struct ClassificationTests {
  @Test("Datagrams are told apart as in the vectors")
  func demux() throws {
    let vectors: GeneveVectors = try read("geneve")
    for vector in vectors.demux {
      let kind = DatagramKind.classify(try bytes(vector.packet))
      let expected: DatagramKind =
        switch (vector.geneve, vector.class) {
        case (true, _): .geneve
        case (_, "stun"): .stun
        case (_, "disco"): .disco
        default: .wireguard
        }
      #expect(kind == expected, "\(vector.name)")
      let header = GeneveHeader(parsing: try bytes(vector.packet))
      if vector.geneve { #expect(header?.isControl == vector.control ?? false) }
    }
  }

  @Test("Every WireGuard type is recognised, and nothing shorter is read past its end")
  func edges() throws {
    for type in 1...4 as ClosedRange<UInt8> {
      #expect(
        DatagramKind.classify([type, 0, 0, 0] + [UInt8](repeating: 9, count: 60)) == .wireguard
      )
    }
    #expect(DatagramKind.classify([]) == .noise)
    let vectors: GeneveVectors = try read("geneve")
    for vector in vectors.demux {
      let packet = try bytes(vector.packet)
      for count in 0..<packet.count { _ = DatagramKind.classify(Array(packet.prefix(count))) }
    }
    var generator = SeededGenerator(state: 8)
    for _ in 0..<5000 {
      let packet = try bytes(try #require(vectors.demux.randomElement(using: &generator)).packet)
      let mutated = packet.mutated(using: &generator)
      _ = DatagramKind.classify(mutated)
      if let header = GeneveHeader(parsing: mutated) {
        #expect(GeneveHeader(parsing: header.bytes) == header)
      }
    }
  }

  @Test("Headers of peer relays have the bytes of the vectors")
  func headers() throws {
    let vectors: GeneveVectors = try read("geneve")
    for vector in vectors.headers {
      let header = GeneveHeader(
        version: vector.version,
        isControl: vector.control,
        content: vector.protocol == "0x7a11" ? .disco : .wireguard,
        virtualNetwork: vector.vni
      )
      let expected = try bytes(vector.header)
      #expect(header.bytes == expected)
      #expect(GeneveHeader(parsing: expected) == header)
      for count in 0..<8 { #expect(GeneveHeader(parsing: Array(expected.prefix(count))) == nil) }
    }
  }

  @Test("Paths compare as in the vectors")
  func better() throws {
    let vectors: BetterVectors = try read("better_addr")
    for (index, row) in vectors.rows.enumerated() {
      let isBetter = row.a.quality?.isBetter(than: row.b.quality) ?? false
      #expect(isBetter == row.aBetter, "row \(index)")
    }
  }
}
