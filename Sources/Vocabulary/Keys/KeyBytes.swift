// SPDX-License-Identifier: Apache-2.0

import Bytes
import Cryptography

/// Thirty-two bytes without an allocation, compared in constant time.
@usableFromInline struct KeyBytes: Hashable, Sendable {
  @usableFromInline let words: (UInt64, UInt64, UInt64, UInt64)

  static let zero = KeyBytes(words: (0, 0, 0, 0))

  @usableFromInline init(words: (UInt64, UInt64, UInt64, UInt64)) { self.words = words }

  init(_ bytes: Bytes32) { words = bytes.bigEndian }

  var raw: Bytes32 { Bytes32(bigEndian: words) }

  init?(_ bytes: some Collection<UInt8>) {
    guard bytes.count == 32 else { return nil }
    var reader = ByteReader(Array(bytes))
    guard let first = try? reader.uint64(), let second = try? reader.uint64(),
      let third = try? reader.uint64(), let fourth = try? reader.uint64()
    else { preconditionFailure("32 bytes hold four words") }
    words = (first, second, third, fourth)
  }

  var bytes: [UInt8] {
    var writer = ByteWriter(capacity: 32)
    writer.bigEndian(words.0)
    writer.bigEndian(words.1)
    writer.bigEndian(words.2)
    writer.bigEndian(words.3)
    return writer.bytes
  }

  @usableFromInline static func == (left: KeyBytes, right: KeyBytes) -> Bool {
    (left.words.0 ^ right.words.0) | (left.words.1 ^ right.words.1)
      | (left.words.2 ^ right.words.2) | (left.words.3 ^ right.words.3) == 0
  }

  static func < (left: KeyBytes, right: KeyBytes) -> Bool {
    (left.words.0, left.words.1, left.words.2, left.words.3)
      < (right.words.0, right.words.1, right.words.2, right.words.3)
  }

  @usableFromInline func hash(into hasher: inout Hasher) {
    hasher.combine(words.0)
    hasher.combine(words.1)
    hasher.combine(words.2)
    hasher.combine(words.3)
  }
}
