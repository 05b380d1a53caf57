// SPDX-License-Identifier: Apache-2.0

import Bytes
import Compression
import ControlProtocol
import ControlSession
import JSON
import Keys
import TestSupport
import Testing
import Timing

@Suite("A map stream")
struct MapPollTests {
  static let keepAlive = MapFrame.encode(MapFrame.keepAliveJSON, compressed: true)

  static func frame(_ adapt: (inout MapResponse) -> Void) -> [UInt8] {
    MapFrame.encode(response(adapt), compressed: true)
  }

  static let first = frame { $0.node = Node(id: 1, key: key(1)) }

  static func poll() -> MapPoll { MapPoll(as: key(1), at: start) }

  /// The stream of the vectors, and the key of its node.
  static func vector() throws -> (bytes: [UInt8], key: NodeKey) {
    let vectors = try Fixture.json("Vectors/map_frames.json")
    let text = try #require(vectors["stream"]?["bytes"]?.string)
    let bytes = try #require(Hex.decode(text))
    var decoder = MapFrameDecoder(compressed: true)
    decoder.receive(bytes)
    while let response = try decoder.next() {
      if let node = response.node { return (bytes, node.key) }
    }
    throw MapPollError.ended
  }

  @Test("The stream of the vectors is read, cut anywhere", arguments: [1, 2, 3, 7, 64, 10_000])
  func vectors(count: Int) throws {
    let (bytes, key) = try Self.vector()
    var poll = MapPoll(as: key, at: start)
    var responses: [MapResponse] = []
    for from in stride(from: 0, to: bytes.count, by: count) {
      let piece = Array(bytes[from..<min(from + count, bytes.count)])
      responses += try poll.receive(piece, at: start)
    }
    #expect(responses.count == 1 && responses.first?.node?.id == 1)
    #expect(poll.messages == 2 && poll.keepAlives == 1 && poll.hasMap)
    #expect(throws: Never.self) { try poll.finish() }
  }

  @Test("A stream that ends in the middle of a message was cut")
  func truncation() throws {
    let (bytes, key) = try Self.vector()
    let ends = try #require(Self.messageEnds(bytes))
    for count in 0..<bytes.count {
      var poll = MapPoll(as: key, at: start)
      _ = try poll.receive(Array(bytes[..<count]), at: start)
      if ends.contains(count) {
        #expect(throws: MapPollError.ended) { try poll.finish() }
      } else {
        #expect(throws: MapPollError.self) { try poll.finish() }
      }
    }
  }

  /// Where messages end, but for the last.
  static func messageEnds(_ bytes: [UInt8]) -> Set<Int>? {
    var ends: Set<Int> = [0]
    var position = 0
    while position + 4 <= bytes.count {
      position += 4 + bytes[position..<position + 4].reversed().reduce(0) { $0 << 8 | Int($1) }
      ends.insert(position)
    }
    return position == bytes.count ? ends : nil
  }

  @Test("Only whole messages put the deadline off: bytes alone do not keep a stream open")
  func deadline() throws {
    var poll = Self.poll()
    #expect(poll.deadline == start + .seconds(120))
    #expect(!poll.isSilent(at: start + .seconds(119)) && poll.isSilent(at: start + .seconds(120)))
    var now = start
    for byte in Self.first.dropLast() {
      now = now + .seconds(1)
      _ = try poll.receive([byte], at: now)
    }
    #expect(poll.deadline == start + .seconds(120))
    _ = try poll.receive(Self.first.suffix(1), at: now)
    #expect(poll.deadline == now + .seconds(120))
    let later = now + .seconds(60)
    _ = try poll.receive(Self.keepAlive, at: later)
    #expect(poll.deadline == later + .seconds(120))
  }

  @Test("Signs of life are counted and kept, unless they carry something")
  func keepAlives() throws {
    var poll = Self.poll()
    let none = try poll.receive(Self.keepAlive + Self.keepAlive, at: start)
    #expect(none == [] && poll.keepAlives == 2 && !poll.hasMap)
    let time = Timestamp(seconds: 1_800_000_000)
    let some = try poll.receive(
      Self.frame {
        ($0.keepAlive, $0.controlTime) = (true, time)
        $0.pingRequest = PingRequest(url: "https://x/y")
      },
      at: start
    )
    #expect(some.map(\.controlTime) == [time] && some.first?.pingRequest?.url == "https://x/y")
    #expect(poll.keepAlives == 2 && poll.messages == 3 && !poll.hasMap)
    let first = try poll.receive(Self.first, at: start)
    #expect(first.count == 1 && poll.hasMap)
  }

  @Test("The first map must be of this node")
  func firstMap() throws {
    var without = Self.poll()
    #expect(throws: MapPollError.firstMapLacksNode) {
      try without.receive(Self.frame { $0.domain = "x" }, at: start)
    }
    var other = Self.poll()
    #expect(throws: MapPollError.otherNode(key(2))) {
      try other.receive(Self.frame { $0.node = Node(id: 1, key: key(2)) }, at: start)
    }
    var delta = Self.poll()
    let both = try delta.receive(Self.first + Self.frame { $0.domain = "x" }, at: start)
    #expect(both.count == 2)
  }

  @Test("What came before a failure is told; then the stream is over for good")
  func failure() throws {
    var poll = Self.poll()
    let large: [UInt8] = [0xFF, 0xFF, 0xFF, 0xFF]
    let before = try poll.receive(Self.first + large, at: start)
    #expect(before.count == 1)
    for _ in 0..<2 {
      #expect(throws: MapPollError.frame(.tooLarge(0xFFFF_FFFF))) {
        try poll.receive(Self.keepAlive, at: start)
      }
    }
    #expect(throws: MapPollError.frame(.tooLarge(0xFFFF_FFFF))) { try poll.finish() }
  }

  @Test("Messages that are too large before or after decompression are refused")
  func bounds() {
    var bomb = MapPoll(as: key(1), maximumBytes: 1 << 16, at: start)
    let spaces = [UInt8](repeating: 32, count: 1 << 20)
    #expect(throws: MapPollError.frame(.compression(.tooLarge(limit: 1 << 16)))) {
      try bomb.receive(MapFrame.encode(spaces, compressed: true), at: start)
    }
    var plain = Self.poll()
    #expect(throws: MapPollError.frame(.compression(.malformed))) {
      try plain.receive(MapFrame.encode(MapFrame.keepAliveJSON, compressed: false), at: start)
    }
  }

  @Test("A stream without compression is read when it was asked for")
  func plain() throws {
    var poll = MapPoll(as: key(1), compressed: false, at: start)
    let map = MapFrame.encode(response { $0.node = Node(id: 1, key: key(1)) }, compressed: false)
    let read = try poll.receive(map, at: start)
    #expect(read.count == 1)
  }

  @Test("The name of the stream and the number of the last message are kept for a later one")
  func resumption() throws {
    var poll = Self.poll()
    _ = try poll.receive(Self.first, at: start)
    #expect(poll.resumption == nil)
    _ = try poll.receive(Self.frame { $0.seq = 3 }, at: start)
    #expect(poll.resumption == nil)
    _ = try poll.receive(
      Self.frame { ($0.mapSessionHandle, $0.seq) = ("h", 4) },
      at: start
    )
    #expect(poll.resumption == MapResumption(handle: "h", sequence: 4))
    _ = try poll.receive(Self.frame { $0.seq = 5 }, at: start)
    _ = try poll.receive(Self.frame { $0.domain = "d" }, at: start)
    #expect(poll.resumption == MapResumption(handle: "h", sequence: 5))
  }

  @Test("Every failure has a sentence for people")
  func sentences() {
    let errors: [MapPollError] = [
      .frame(.tooLarge(1)), .firstMapLacksNode, .otherNode(key(1)), .ended, .silent,
      .truncated(missing: "3 bytes into a message"),
    ]
    #expect(Set(errors.map(\.description)).count == errors.count)
    #expect(MapPollError.silent.description == "the map stream was silent for 120 s")
  }

  @Test("A damaged stream is read or refused, in whatever pieces it comes")
  func damage() throws {
    let (bytes, key) = try Self.vector()
    var generator = SplitMix(state: 23)
    for _ in 0..<3000 {
      var poll = MapPoll(as: key, at: start)
      let damaged = generator.damage(bytes)
      let cut = Int.random(in: 0...damaged.count, using: &generator)
      for piece in [damaged[..<cut], damaged[cut...]] {
        // A refusal is as good here: what counts is that it comes back.
        _ = try? poll.receive(Array(piece), at: start)
      }
      #expect(poll.messages <= 3)
    }
  }

  @Test("Damaged maps in whole frames are read or refused")
  func damagedMaps() throws {
    let bytes = try Fixture.bytes("Corpora/ControlProtocol/mapresponse.json")
    var generator = SplitMix(state: 29)
    var orders = ServerOrders()
    var read = 0
    for _ in 0..<1500 {
      var poll = MapPoll(as: key(0xA1), compressed: false, at: start)
      let frame = MapFrame.encode(generator.damage(bytes), compressed: false)
      // A refusal is as good here: what counts is that it comes back.
      for response in (try? poll.receive(frame, at: start)) ?? [] {
        _ = orders.take(from: response)
        read += 1
      }
    }
    #expect(read > 100)
  }
}
