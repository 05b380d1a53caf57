// SPDX-License-Identifier: Apache-2.0

import Compression
import ControlProtocol
import JSON
import TestSupport
import Testing

@Suite("Map frames")
struct MapFrameTests {
  static func all(_ decoder: inout MapFrameDecoder) throws(MapFrameError) -> [MapResponse] {
    var responses: [MapResponse] = []
    while let response = try decoder.next() { responses.append(response) }
    return responses
  }

  @Test("The frames of the vectors are read, with and without a content size")
  func vectors() throws {
    let frames = try Fixture.json("Vectors/map_frames.json")["frames"]?.array ?? []
    #expect(frames.count == 6)
    for frame in frames {
      let isCompressed = frame["compress"] == "zstd"
      var decoder = MapFrameDecoder(compressed: isCompressed)
      decoder.receive(try frame.hex("frame"))
      let responses = try Self.all(&decoder)
      let json = Array(try #require(frame["json"]?.string).utf8)
      #expect(responses == [try MapResponse(json: json)])
      #expect(decoder.heldBytes == 0)
      if !isCompressed {
        #expect(MapFrame.encode(json, compressed: false) == (try frame.hex("frame")))
      }
    }
  }

  @Test("A stream may be cut anywhere", arguments: [1, 2, 3, 5, 7, 64, 1000])
  func cuts(count: Int) throws {
    let stream = try #require(try Fixture.json("Vectors/map_frames.json")["stream"])
    let bytes = try stream.hex("bytes")
    var decoder = MapFrameDecoder(compressed: true)
    var responses: [MapResponse] = []
    for start in stride(from: 0, to: bytes.count, by: count) {
      decoder.receive(Array(bytes[start..<min(start + count, bytes.count)]))
      responses += try Self.all(&decoder)
    }
    #expect(responses.count == stream["count"]?.int)
    #expect(responses.first?.keepAlive == true)
    #expect(responses.last?.node?.id == 1)
  }

  @Test("Signs of life are recognised again without reading them")
  func keepAlives() throws {
    var response = MapResponse()
    response.keepAlive = true
    #expect(response.json == MapFrame.keepAliveJSON)
    var decoder = MapFrameDecoder(compressed: true)
    for _ in 0..<3 {
      decoder.receive(MapFrame.encode(response, compressed: true))
      let read = try Self.all(&decoder)
      #expect(read == [response])
    }
  }

  @Test("Frames that are too large, not zstd or not JSON are refused")
  func refused() throws {
    var large = MapFrameDecoder(compressed: true)
    large.receive([0xFF, 0xFF, 0xFF, 0x7F])
    #expect(throws: MapFrameError.tooLarge(0x7FFF_FFFF)) { try large.next() }
    var plain = MapFrameDecoder(compressed: true)
    plain.receive(MapFrame.encode(MapFrame.keepAliveJSON, compressed: false))
    #expect(throws: MapFrameError.compression(.malformed)) { try plain.next() }
    var bomb = MapFrameDecoder(compressed: true, maximumBytes: 1 << 20)
    bomb.receive(MapFrame.encode([UInt8](repeating: 32, count: 2 << 20), compressed: true))
    #expect(throws: MapFrameError.compression(.tooLarge(limit: 1 << 20))) { try bomb.next() }
    var broken = MapFrameDecoder(compressed: false)
    broken.receive(MapFrame.encode(Array("{".utf8), compressed: false))
    #expect(throws: MapFrameError.self) { try broken.next() }
    var empty = MapFrameDecoder(compressed: false)
    empty.receive([0, 0, 0, 0])
    #expect(throws: MapFrameError.self) { try empty.next() }
  }

  @Test("A damaged stream is read or refused")
  func damage() throws {
    let bytes = try #require(try Fixture.json("Vectors/map_frames.json")["stream"]).hex("bytes")
    var generator = SplitMix(state: 7)
    for _ in 0..<3000 {
      var decoder = MapFrameDecoder(compressed: true)
      decoder.receive(generator.damage(bytes))
      // Damage may leave a message whole, cut it, or break it: nothing of that is fatal.
      let read = (try? Self.all(&decoder)) ?? []
      #expect(read.count <= 3)
    }
  }
}
