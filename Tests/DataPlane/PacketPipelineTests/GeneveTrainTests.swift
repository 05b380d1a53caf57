// SPDX-License-Identifier: Apache-2.0

import Disco
import Packets
import TestSupport
import Testing

@testable import PacketPipeline

@Suite("Trains through peer relays")
struct GeneveTrainTests {
  /// Fills the arena with `count` datagrams of one size, the last perhaps shorter.
  private func train(
    _ effects: inout PipelineEffects,
    count: Int,
    size: Int,
    last: Int,
    using generator: inout SeededGenerator
  ) throws -> (range: Range<Int>, bytes: [UInt8]) {
    let length = (count - 1) * size + last
    let taken = effects.arena.take(length)
    let range = try #require(taken)
    let bytes = (0..<length).map { _ in UInt8.random(in: 0...255, using: &generator) }
    effects.arena.bytes.copy(bytes, to: range.lowerBound)
    return (range, bytes)
  }

  @Test(
    "What is wrapped and unwrapped is what it was, however it is cut",
    arguments: [true, false]
  )
  func roundTrip(keepsOriginal: Bool) throws {
    var generator = SeededGenerator(state: 17)
    for _ in 0..<200 {
      var effects = PipelineEffects()
      _ = effects.arena.take(Int.random(in: 0...100, using: &generator))
      let count = Int.random(in: 1...64, using: &generator)
      let size = Int.random(in: 33...1400, using: &generator)
      let last = Int.random(in: 33...size, using: &generator)
      let (range, bytes) = try train(
        &effects,
        count: count,
        size: size,
        last: last,
        using: &generator
      )
      let network = UInt32.random(in: 1...0xFF_FFFF, using: &generator)
      let wrapped = effects.wrap(
        range,
        segmentSize: size,
        for: network,
        keepsOriginal: keepsOriginal
      )
      let place = try #require(wrapped)
      #expect(place.count == bytes.count + count * 8)
      let arena = effects.arena.bytes
      if keepsOriginal { #expect(arena.slice(range).array == bytes) }
      let header = GeneveHeader(isControl: false, content: .wireguard, virtualNetwork: network)
      #expect(arena.slice(place.lowerBound..<place.lowerBound + 8).array == header.bytes)
      let found = try #require(GeneveTrain(arena.slice(place), size + 8))
      #expect(found.network == network)
      #expect(found.unwrapped().array == bytes)
    }
  }

  @Test("Datagrams of several networks, or of other kinds among them, are no train")
  func mixed() {
    func isTrain(_ datagrams: [[UInt8]]) -> Bool {
      var bytes = datagrams.flatMap(\.self)
      let size = datagrams[0].count
      return bytes.withPacketBytes { GeneveTrain($0, size) != nil }
    }
    func datagram(
      _ network: UInt32,
      control: Bool = false,
      _ content: GeneveHeader.Content = .wireguard
    )
      -> [UInt8]
    {
      GeneveHeader(isControl: control, content: content, virtualNetwork: network).bytes
        + [UInt8](repeating: 4, count: 40)
    }
    #expect(isTrain([datagram(1), datagram(1)]))
    #expect(!isTrain([datagram(1), datagram(2)]))
    #expect(!isTrain([datagram(1, control: true)]))
    #expect(!isTrain([datagram(1, .disco)]))
    #expect(!isTrain([datagram(0)]))
    #expect(!isTrain([datagram(1), Array(datagram(1).prefix(8))]))
    #expect(!isTrain([Array(datagram(1).prefix(8))]))
    #expect(!isTrain([[UInt8](repeating: 4, count: 48)]))
  }
}
