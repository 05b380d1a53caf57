// SPDX-License-Identifier: Apache-2.0

import Compression
import Testing

@Suite("Zstandard frames")
struct ZstandardTests {
  @Test("Content of any size round-trips", arguments: [0, 1, 100, 131_072, 131_073, 1_000_000])
  func roundTrip(count: Int) throws {
    let content = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* $0 >> 3) }
    let frame = Zstandard.compress(content)
    #expect(try Zstandard.decompress(frame, limit: count) == content)
  }

  @Test("A frame that unpacks to more than the limit is refused")
  func bomb() {
    let frame = Zstandard.compress([UInt8](repeating: 0, count: 10_000_000))
    #expect(frame.count < 2000)
    #expect(throws: CompressionError.tooLarge(limit: 1_000_000)) {
      try Zstandard.decompress(frame, limit: 1_000_000)
    }
  }

  @Test(
    "A frame cut at any byte, or damaged at any byte, is an error or other content, never a trap"
  )
  func damage() {
    let frame = Zstandard.compress(Array("a small message, a small message".utf8))
    for end in 0..<frame.count where end > 0 {
      #expect(throws: CompressionError.self) {
        try Zstandard.decompress(Array(frame[..<end]), limit: 1000)
      }
    }
    for index in frame.indices {
      var damaged = frame
      damaged[index] ^= 0x55
      _ = try? Zstandard.decompress(damaged, limit: 1000)
    }
  }
}
