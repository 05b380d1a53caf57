// SPDX-License-Identifier: Apache-2.0

import Addressing
import Bytes
import Foundation
import Packets
import TestSupport
import Testing

@Suite("Packet views and messages")
struct PacketViewTests {
  private struct Vectors: Decodable {
    struct Message: Decodable {
      var name: String
      var packet: String
      var discoKey: String?
      var data: String?
      var peerAPIPort: UInt16?
    }
    var messages: [Message]
  }

  private func message(_ packet: [UInt8]) -> TSMPMessage? {
    var copy = packet
    return copy.withPacketBytes { TSMPMessage($0, PacketView($0)) }
  }

  @Test("TSMP packets of the original are read and built byte for byte")
  func tsmpVectors() throws {
    let file = Support.fixtures.appendingPathComponent("Vectors/tsmp.json")
    let vectors = try JSONDecoder().decode(Vectors.self, from: Data(contentsOf: file))
    #expect(vectors.messages.count == 7)
    for vector in vectors.messages {
      let packet = try #require(Hex.decode(vector.packet))
      let view = Support.view(packet)
      let read = try #require(message(packet), "\(vector.name)")
      switch read {
      case .discoAdvertisement(let key): #expect(Hex.encode(key) == vector.discoKey)
      case .ping(let data): #expect(Hex.encode(data.bigEndianBytes) == vector.data)
      case .pong(let data, let port):
        #expect(Hex.encode(data.bigEndianBytes) == vector.data)
        #expect(port == vector.peerAPIPort)
      case .reject(let reject):
        #expect(reject.packet == packet)
        #expect(reject.destination.port == 443 && reject.source.port == 567)
      }
      let identification: UInt16 = view.source.isV4 ? UInt16(packet[4]) << 8 | UInt16(packet[5]) : 0
      #expect(
        read.packet(from: view.source, to: view.destination, identification: identification)
          == packet
      )
    }
  }

  @Test("Every truncation of a TSMP packet is refused or read within its bytes")
  func tsmpTruncation() throws {
    let key = [UInt8](repeating: 9, count: 32)
    for whole in [TSMPMessage.discoAdvertisement(key: key), .ping(data: 1)] {
      let packet = whole.packet(from: Support.source6, to: Support.destination6)
      for length in 0..<packet.count {
        #expect(message(Array(packet[..<length])) == nil)
        // The header admits the shorter length, so that only the message itself is short.
        guard length >= 40 else { continue }
        var shorter = Array(packet[..<length])
        shorter[5] = UInt8(length - 40)
        #expect(message(shorter) == nil)
      }
    }
  }

  @Test("Headers are read, and padding behind the packet does not count")
  func fields() {
    let packet = Support.tcp(v6: false, flags: [.syn], payload: [1, 2, 3])
    let view = Support.view(packet + [0, 0, 0, 0])
    #expect(view.kind == .tcp && view.isSYN)
    #expect(view.length == packet.count)
    #expect(view.source == Support.source4 && view.destination == Support.destination4)
    #expect(view.sourcePort == 443 && view.destinationPort == 5555)
    let six = Support.view(Support.udp(v6: true, payload: [1]))
    #expect(six.kind == .udp && six.transportOffset == 40 && six.destinationPort == 53)
  }

  @Test("Every truncation is malformed", arguments: [false, true])
  func truncation(v6: Bool) {
    for packet in [Support.tcp(v6: v6, payload: [1]), Support.udp(v6: v6, payload: [1])] {
      for length in 0..<packet.count {
        #expect(Support.view(Array(packet[..<length])).kind == .malformed)
      }
    }
  }

  @Test("IPv6 fragments are judged by their offset")
  func fragments() {
    func fragment(
      _ block: UInt16,
      more: Bool,
      next: UInt8 = 17,
      content: [UInt8] = Support.payload(40)
    ) -> PacketView {
      let field = block << 3 | (more ? 1 : 0)
      let payload = [next, 0, UInt8(field >> 8), UInt8(field & 255), 0, 0, 0, 1]
      return Support.view(
        IPPacket.build(
          from: Support.source6,
          to: Support.destination6,
          proto: .fragmentHeader,
          payload: payload + content
        )
      )
    }
    #expect(fragment(0, more: true).kind == .udp)
    #expect(fragment(0, more: true).isFirstFragment)
    #expect(fragment(0, more: true).transportOffset == 48)
    #expect(fragment(1, more: true).kind == .malformed)
    #expect(fragment(9, more: false).kind == .malformed)
    #expect(fragment(10, more: false).kind == .fragment)
    #expect(fragment(0, more: true, next: 99).kind == .malformed)
    let routing: [UInt8] = [17, 1] + Support.payload(22)
    #expect(fragment(0, more: false, next: 43, content: routing).kind == .other)
    // It says that it is longer than the packet.
    #expect(fragment(0, more: false, next: 43, content: [17, 3] + routing).kind == .malformed)
  }

  @Test("An echo request is answered with the same data", arguments: [false, true])
  func echo(v6: Bool) throws {
    let source = v6 ? Support.source6 : Support.source4
    let target = v6 ? Support.destination6 : Support.destination4
    let request = ICMPEcho(identifier: 7, sequence: 8, data: [1, 2, 3])
    var packet = request.packet(from: source, to: target)
    #expect(Support.view(packet).isEchoRequest)
    let read = try #require(packet.withPacketBytes { ICMPEcho($0, PacketView($0)) })
    #expect(read == request)
    let reply = read.reply.packet(from: target, to: source)
    #expect(Support.view(reply).isEchoReply)
    if v6 {
      #expect(Support.isIntact(reply))
    } else {
      #expect(Support.referenceSum(Array(reply[20...]), pseudo: []) == 0xFFFF)
    }
  }

  @Test("The checksum agrees with the plain definition at every length")
  func checksum() {
    for length in 0..<200 {
      var bytes = Support.payload(length, seed: UInt64(length))
      let expected = Support.referenceSum(bytes, pseudo: [])
      var copy = [UInt8](repeating: 0, count: length)
      let sums = bytes.withPacketBytes { source in
        copy.withPacketBytes { target in
          (
            InternetChecksum.folded(InternetChecksum.sum(source, 0..<length)),
            InternetChecksum.folded(
              InternetChecksum.copy(source, 0..<length, to: target, at: 0)
            )
          )
        }
      }
      #expect(sums.0.bigEndian == expected || length == 0)
      #expect(sums.0 == sums.1)
      #expect(copy == bytes)
    }
  }

  @Test("Mutated packets are read without a crash, and views stay within the bytes")
  func fuzz() throws {
    let corpus = try Support.corpus("Packets")
    #expect(corpus.count >= 8)
    var random = SeededGenerator(state: 10)
    for round in 0..<8000 {
      var packet = corpus[round % corpus.count]
      for _ in 0..<Int.random(in: 1...6, using: &random) where !packet.isEmpty {
        packet[Int.random(in: 0..<min(packet.count, 64), using: &random)] = UInt8.random(
          in: 0...255,
          using: &random
        )
      }
      if round.isMultiple(of: 4) {
        packet.removeLast(Int.random(in: 0...packet.count, using: &random))
      }
      let view = Support.view(packet)
      #expect(view.kind == .malformed || view.length <= packet.count)
      _ = message(packet)
      _ = packet.withPacketBytes { ICMPEcho($0, view) }
    }
  }
}

extension UInt64 {
  fileprivate var bigEndianBytes: [UInt8] {
    var writer = ByteWriter()
    writer.bigEndian(self)
    return writer.bytes
  }
}
