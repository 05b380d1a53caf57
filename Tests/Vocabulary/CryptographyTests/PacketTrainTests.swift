// SPDX-License-Identifier: Apache-2.0

import Glibc
import Testing

@testable import Cryptography

/// The Multi-Buffer library of this machine, or why there is none.
func installedLibrary() -> Result<PacketBackend.Lookup, PacketBackendRefusal> {
  guard let handle = unsafe dlopen(PacketBackend.libraryName, RTLD_NOW | RTLD_LOCAL) else {
    return .failure(.notInstalled("no such file"))
  }
  let address = UInt(bitPattern: handle)
  return .success { name in
    unsafe dlsym(UnsafeMutableRawPointer(bitPattern: address), name).map { UInt(bitPattern: $0) }
  }
}

/// Every backend that this machine can run: BoringSSL, and the library where it is usable.
let usableBackends: [PacketBackend] = {
  guard let choice = try? PacketBackendChoice(opening: installedLibrary) else { return [] }
  return choice.backend.name == .boringSSL ? [.boringSSL] : [.boringSSL, choice.backend]
}()

/// Packets that lie behind each other, with room for tags, as a receive buffer has them.
final class PacketMemory {
  private(set) var bytes: [UInt8]
  private(set) var ranges: [Range<Int>] = []

  init(_ packets: [[UInt8]], roomForTag: Bool) {
    bytes = []
    for packet in packets {
      bytes += packet
      ranges.append(bytes.count - packet.count..<bytes.count)
      if roomForTag { bytes += [UInt8](repeating: 0xEE, count: 16) }
    }
    // A guard behind the last packet shows writes past the end.
    bytes += [UInt8](repeating: 0x5C, count: 64)
  }

  var isGuardWhole: Bool { bytes.suffix(64).allSatisfy { $0 == 0x5C } }

  func packet(_ index: Int, tagged: Bool) -> [UInt8] {
    Array(bytes[ranges[index].lowerBound..<ranges[index].upperBound + (tagged ? 16 : 0)])
  }

  /// Works on the packets as trains of at most `length`.
  func work(
    counters: [UInt64],
    trainLength: Int,
    _ body: (inout PacketTrain, Range<Int>) -> Void
  ) {
    unsafe bytes.withUnsafeMutableBytes { memory in
      guard let base = memory.baseAddress else { return }
      var train = PacketTrain()
      var start = 0
      while start < ranges.count {
        let end = min(start + trainLength, ranges.count)
        train.removeAll()
        for index in start..<end {
          unsafe train.append(
            base + ranges[index].lowerBound,
            count: ranges[index].count,
            counter: counters[index]
          )
        }
        body(&train, start..<end)
        start = end
      }
    }
  }
}

@Suite("Trains of packets")
struct PacketTrainTests {
  private static let key = (0..<32).map { UInt8(truncatingIfNeeded: $0 * 5 + 3) }

  private static func random(_ count: Int, _ entropy: inout Entropy) -> [[UInt8]] {
    (0..<count).map { _ in
      let length =
        switch entropy.next() % 4 {
        case 0: Int(entropy.next() % 70)
        case 1: Int(entropy.next() % 300)
        case 2: Int(entropy.next() % 94) * 16
        default: Int(entropy.next() % 2000)
        }
      return entropy.bytes(length)
    }
  }

  private static func seal(
    _ packets: [[UInt8]],
    counters: [UInt64],
    trainLength: Int = PacketTrain.capacity,
    by backend: PacketBackend
  ) -> PacketMemory {
    let memory = PacketMemory(packets, roomForTag: true)
    let cipher = PacketCipher(key: key)
    var engine = PacketEngine(backend)
    memory.work(counters: counters, trainLength: trainLength) { train, _ in
      engine.seal(train, with: cipher)
    }
    return memory
  }

  @Test("Every backend gives the known answers")
  func knownAnswers() {
    #expect(!usableBackends.isEmpty)
    for backend in usableBackends { #expect(PacketSelfTest.failure(of: backend) == nil) }
  }

  @Test("All backends seal random packets to the same bytes, in trains of any length")
  func sealing() {
    var entropy = Entropy(seed: 11)
    for round in 0..<40 {
      let packets = Self.random(1 + Int(entropy.next() % 130), &entropy)
      let counters = packets.map { _ in entropy.next() >> (entropy.next() % 64) }
      let single = packets.indices.map { index in
        ChaCha20Poly1305.seal(
          packets[index],
          key: Self.key,
          nonce: [0, 0, 0, 0]
            + (0..<8).map { UInt8(truncatingIfNeeded: counters[index] >> ($0 * 8)) }
        )
      }
      for backend in usableBackends {
        let length = round.isMultiple(of: 2) ? PacketTrain.capacity : 1 + round
        let memory = Self.seal(packets, counters: counters, trainLength: length, by: backend)
        #expect(memory.isGuardWhole)
        for index in packets.indices {
          #expect(memory.packet(index, tagged: true) == single[index])
        }
      }
    }
  }

  @Test("All backends open random trains alike, and forged packets spoil no neighbour")
  func opening() {
    var entropy = Entropy(seed: 12)
    for _ in 0..<40 {
      let packets = Self.random(1 + Int(entropy.next() % 64), &entropy)
      let counters = packets.map { _ in entropy.next() }
      let sealed = Self.seal(packets, counters: counters, by: .boringSSL)
      var input = packets.indices.map { sealed.packet($0, tagged: true) }
      var isForged = packets.map { _ in false }
      var asked = counters
      for index in packets.indices where entropy.next() % 3 == 0 {
        isForged[index] = true
        switch entropy.next() % 4 {
        case 0: asked[index] &+= 1
        case 1: input[index][Int(entropy.next() % UInt64(input[index].count))] ^= 0x40
        case 2: input[index].removeLast(1 + Int(entropy.next() % UInt64(input[index].count)))
        default: input[index].append(0)
        }
      }
      for backend in usableBackends {
        let memory = PacketMemory(input, roomForTag: false)
        let cipher = PacketCipher(key: Self.key)
        var engine = PacketEngine(backend)
        var verdicts: [Bool] = []
        memory.work(counters: asked, trainLength: PacketTrain.capacity) { train, range in
          engine.open(&train, with: cipher)
          for index in 0..<range.count { verdicts.append(train.isAuthentic(index)) }
        }
        #expect(verdicts == isForged.map(!))
        #expect(memory.isGuardWhole)
        for index in packets.indices {
          let opened = memory.packet(index, tagged: false)
          if isForged[index] {
            // What is too short for a tag was never decrypted.
            #expect(opened.count < 16 || opened.allSatisfy { $0 == 0 })
          } else {
            #expect(Array(opened.dropLast(16)) == packets[index])
          }
        }
        #expect(engine.backend == backend.name)
      }
    }
  }

  @Test("An empty train is nothing to do, and a train is used again")
  func reuse() {
    for backend in usableBackends {
      var engine = PacketEngine(backend)
      var train = PacketTrain()
      let cipher = PacketCipher(key: Self.key)
      engine.seal(train, with: cipher)
      engine.open(&train, with: cipher)
      let isEmpty = train.count == 0
      #expect(isEmpty)
    }
  }

  @Test("A key's memory is erased when its cipher goes away")
  func erasing() {
    let material = Material(Bytes32(loading: [UInt8](repeating: 0xA7, count: 32).span))
    let before = material.bytes
    #expect(before.count(where: { $0 == 0xA7 }) >= 64)
    material.erase()
    #expect(material.bytes.allSatisfy { $0 == 0 })
    material.eraseAndFree()
  }
}
