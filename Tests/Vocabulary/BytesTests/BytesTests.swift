// SPDX-License-Identifier: Apache-2.0

import Bytes
import Testing

@Suite("Readers and writers")
struct BytesTests {
  @Test("Integers round-trip in both byte orders")
  func integers() throws {
    var writer = ByteWriter()
    writer.bigEndian(UInt8(0xAB))
    writer.bigEndian(UInt16(0x0102))
    writer.littleEndian(UInt32(0x0102_0304))
    writer.bigEndian(UInt64(0x0102_0304_0506_0708))
    #expect(writer.bytes == [0xAB, 1, 2, 4, 3, 2, 1, 1, 2, 3, 4, 5, 6, 7, 8])
    var reader = ByteReader(writer.bytes)
    try equal(reader.uint8(), 0xAB)
    try equal(reader.uint16(), 0x0102)
    try equal(reader.littleEndian(UInt32.self), 0x0102_0304)
    try equal(reader.uint64(), 0x0102_0304_0506_0708)
    #expect(reader.isAtEnd)
  }

  @Test("A field that is not there is an error that names the need, and consumes nothing")
  func truncation() {
    var reader = ByteReader([1, 2, 3])
    #expect(throws: TruncatedError(needed: 4, got: 3)) { _ = try reader.uint32() }
    #expect(throws: TruncatedError(needed: -1, got: 3)) { _ = try reader.take(-1) }
    #expect(reader.remaining == 3)
  }

  @Test("Hex reads both cases and refuses the rest")
  func hex() {
    #expect(Hex.encode([0, 0x7F, 0xFF]) == "007fff")
    #expect(Hex.decode("007FfF") == [0, 0x7F, 0xFF])
    #expect(Hex.decode("0") == nil && Hex.decode("0g") == nil && Hex.decode("é0") == nil)
  }

  @Test("Constant-time comparison tells equal from different")
  func comparison() {
    #expect(equalInConstantTime([1, 2, 3], [1, 2, 3]))
    #expect(!equalInConstantTime([1, 2, 3], [1, 2, 4]))
    #expect(!equalInConstantTime([1, 2, 3], [1, 2]))
  }

  private func equal<Value: Equatable>(_ got: Value, _ expected: Value) { #expect(got == expected) }
}
