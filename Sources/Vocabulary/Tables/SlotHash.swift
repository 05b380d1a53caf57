// SPDX-License-Identifier: Apache-2.0

/// Turns names into tags, differently in every process.
///
/// Names that strangers choose (keys, addresses) must not be able to crowd one place of an index: two
/// secret words take part in a product of 128 bits whose halves are folded together.
public struct SlotHash: Sendable {
  @usableFromInline let first: UInt64
  @usableFromInline let second: UInt64

  /// The hash of this process.
  public init() {
    // The standard library's hasher is seeded by the process: its hash of a constant is a secret.
    var (one, two) = (Hasher(), Hasher())
    one.combine(1)
    two.combine(2)
    first = UInt64(bitPattern: Int64(one.finalize())) | 1
    second = UInt64(bitPattern: Int64(two.finalize()))
  }

  /// Sixty-four bits that follow from two words.
  @inlinable
  public func mixed(_ left: UInt64, _ right: UInt64) -> UInt64 {
    let product = (left ^ first).multipliedFullWidth(by: right ^ second)
    let again = (product.high ^ product.low).multipliedFullWidth(by: 0x9E37_79B9_7F4A_7C15)
    return again.high ^ again.low
  }

  /// The tag of two words.
  @inlinable
  public func tag(_ left: UInt64, _ right: UInt64) -> UInt32 {
    UInt32(truncatingIfNeeded: mixed(left, right))
  }

  /// The tag of four words, such as a key.
  @inlinable
  public func tag(_ words: (UInt64, UInt64, UInt64, UInt64)) -> UInt32 {
    tag(mixed(words.0, words.1), mixed(words.2, words.3))
  }
}
