// SPDX-License-Identifier: Apache-2.0

import Bytes
import Cryptography
import Foundation
import Keys
import Testing
import Timing

@testable import WireGuard

@Suite("Arbitrary datagrams")
struct FuzzTests {
  private func corpus() throws -> [[UInt8]] {
    let url = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("../../../Fixtures/Corpora/WireGuard")
    let names = try FileManager.default.contentsOfDirectory(atPath: url.path)
    return try names.filter { $0.hasSuffix(".hex") }.sorted().map { name in
      let text = try String(contentsOf: url.appendingPathComponent(name), encoding: .utf8)
      let hex = text.trimmingCharacters(in: .whitespacesAndNewlines)
      return try #require(Hex.decode(hex), "\(name)")
    }
  }

  @Test("Mutated messages are dropped, and a session among them goes on", arguments: UInt64(1)...4)
  func mutations(seed: UInt64) throws {
    let corpus = try corpus()
    #expect(corpus.count >= 5)
    let laboratory = Laboratory(seed: seed)
    laboratory.send(packet(0), from: 0)
    laboratory.run(for: .seconds(1))
    var live = laboratory.sent.map(\.bytes)
    for round in 0..<4000 {
      let pool = round.isMultiple(of: 2) ? corpus : live
      let input = pool[Int(laboratory.chance.next() % UInt64(pool.count))]
      let received = laboratory.deliver(mutate(input, &laboratory.chance), to: round / 2 % 2)
      switch received {
      case .dropped, .handshake(nil): break
      default: Issue.record("seed \(seed), round \(round): \(received)")
      }
      if round.isMultiple(of: 200) {
        laboratory.send(packet(round), from: 0)
        live.append(contentsOf: laboratory.sent.suffix(1).map(\.bytes))
        laboratory.run(for: .seconds(2))
        #expect(laboratory.nodes[1].delivered.last == packet(round), "seed \(seed)")
      }
    }
  }

  @Test("Random bytes are dropped")
  func noise() {
    let laboratory = Laboratory()
    for _ in 0..<4000 {
      let length = Int(laboratory.chance.next() % 256)
      var datagram = laboratory.chance.bytes(length)
      if length > 4 {
        datagram.replaceSubrange(0..<4, with: [UInt8(laboratory.chance.next() % 5), 0, 0, 0])
      }
      guard case .dropped = laboratory.deliver(datagram, to: 0) else {
        Issue.record("\(Hex.encode(datagram))")
        continue
      }
    }
    #expect(laboratory.sent.isEmpty)
  }

  /// At least one change that makes the message another one.
  private func mutate(_ input: [UInt8], _ chance: inout Entropy) -> [UInt8] {
    var bytes = input
    for _ in 0...Int(chance.next() % 4) {
      let position = bytes.isEmpty ? 0 : Int(chance.next() % UInt64(bytes.count))
      switch chance.next() % 4 {
      case 0 where !bytes.isEmpty: bytes[position] ^= UInt8(1 + chance.next() % 255)
      case 1 where !bytes.isEmpty: bytes.removeSubrange(position...)
      case 2: bytes.insert(contentsOf: chance.bytes(Int(chance.next() % 20) + 1), at: position)
      default: bytes.append(UInt8(truncatingIfNeeded: chance.next()))
      }
    }
    return bytes == input ? bytes + [0] : bytes
  }
}
