// SPDX-License-Identifier: Apache-2.0

import CNIOBoringSSL

/// Thirty-two bytes where they are used, without an array: a key, a hash, a shared secret.
///
/// A handshake goes through a hundred of them. Compared in constant time.
public struct Bytes32: Sendable {
  /// The bytes themselves.
  public internal(set) var storage: InlineArray<32, UInt8>

  /// Thirty-two zero bytes.
  public init() { storage = InlineArray(repeating: 0) }

  /// The bytes of an array; nil for any other count.
  public init?(_ bytes: [UInt8]) {
    guard bytes.count == 32 else { return nil }
    self.init(loading: bytes.span)
  }

  /// Thirty-two bytes out of a message that has them at `offset`.
  public init(loading bytes: borrowing Span<UInt8>, at offset: Int = 0) {
    self.init()
    var span = storage.mutableSpan
    span.load(bytes.extracting(offset..<offset + 32))
  }

  /// The bytes of four integers, most significant byte first.
  public init(bigEndian: (UInt64, UInt64, UInt64, UInt64)) {
    self.init()
    words = (
      bigEndian.0.bigEndian, bigEndian.1.bigEndian, bigEndian.2.bigEndian, bigEndian.3.bigEndian
    )
  }

  /// The bytes as four integers, most significant byte first.
  public var bigEndian: (UInt64, UInt64, UInt64, UInt64) {
    let words = words
    return (words.0.bigEndian, words.1.bigEndian, words.2.bigEndian, words.3.bigEndian)
  }

  /// The bytes as an array.
  public var bytes: [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(32)
    append(to: &bytes)
    return bytes
  }

  /// Appends the bytes to a message.
  public func append(to message: inout [UInt8]) { message.append(contentsOf: storage.span) }

  /// Overwrites the bytes here, which are of no more use; copies stay as they are.
  public mutating func wipe() {
    // SAFETY: the pointer is that of the value, which nobody else can touch meanwhile.
    unsafe withMutablePointer { unsafe OPENSSL_cleanse($0, 32) }
  }

  /// The bytes as four integers, as they lie in memory.
  var words: (UInt64, UInt64, UInt64, UInt64) {
    // SAFETY: thirty-two bytes are four integers.
    get { unsafe unsafeBitCast(storage, to: (UInt64, UInt64, UInt64, UInt64).self) }
    set { storage = unsafe unsafeBitCast(newValue, to: InlineArray<32, UInt8>.self) }
  }

  /// Calls with where the bytes lie.
  @inline(__always)
  func withPointer<Result>(_ body: (UnsafePointer<UInt8>) -> Result) -> Result {
    unsafe storage.span.withUnsafeBufferPointer { bytes in
      guard let base = bytes.baseAddress else { preconditionFailure("a value has an address") }
      // SAFETY: the pointer does not outlive the call.
      return unsafe body(base)
    }
  }

  /// Calls with where the bytes lie, to write all of them.
  @inline(__always)
  mutating func withMutablePointer<Result>(
    _ body: (UnsafeMutablePointer<UInt8>) -> Result
  ) -> Result {
    var span = storage.mutableSpan
    return unsafe span.withUnsafeMutableBufferPointer { bytes in
      guard let base = bytes.baseAddress else { preconditionFailure("a value has an address") }
      // SAFETY: as in `withPointer`.
      return unsafe body(base)
    }
  }
}

extension Bytes32: Equatable {
  /// Whether all bytes are equal, in a time that does not depend on them.
  public static func == (left: Bytes32, right: Bytes32) -> Bool {
    let (left, right) = (left.words, right.words)
    return (left.0 ^ right.0) | (left.1 ^ right.1) | (left.2 ^ right.2) | (left.3 ^ right.3) == 0
  }
}

/// Sixteen bytes where they are used, without an array: a MAC or a cookie.
///
/// Compared in constant time.
public struct Bytes16: Sendable {
  /// The bytes themselves.
  public internal(set) var storage: InlineArray<16, UInt8>

  /// Sixteen zero bytes.
  public init() { storage = InlineArray(repeating: 0) }

  /// Sixteen bytes out of a message that has them at `offset`.
  public init(loading bytes: borrowing Span<UInt8>, at offset: Int = 0) {
    self.init()
    var span = storage.mutableSpan
    span.load(bytes.extracting(offset..<offset + 16))
  }

  /// The bytes as an array.
  public var bytes: [UInt8] {
    var bytes: [UInt8] = []
    append(to: &bytes)
    return bytes
  }

  /// Appends the bytes to a message.
  public func append(to message: inout [UInt8]) { message.append(contentsOf: storage.span) }
}

extension Bytes16: Equatable {
  /// Whether all bytes are equal, in a time that does not depend on them.
  public static func == (left: Bytes16, right: Bytes16) -> Bool {
    var difference: UInt8 = 0
    for index in 0..<16 { difference |= left.storage[index] ^ right.storage[index] }
    return difference == 0
  }
}

extension [UInt8] {
  /// Appends bytes that lie elsewhere.
  fileprivate mutating func append(contentsOf bytes: borrowing Span<UInt8>) {
    // SAFETY: the bytes are copied.
    unsafe bytes.withUnsafeBufferPointer { unsafe append(contentsOf: $0) }
  }
}

extension MutableSpan<UInt8> {
  /// Takes over as many bytes as it has.
  fileprivate mutating func load(_ bytes: borrowing Span<UInt8>) {
    precondition(bytes.count == count, "there are as many bytes as are loaded")
    // SAFETY: there are as many, and what is written lies elsewhere.
    unsafe withUnsafeMutableBufferPointer { own in
      unsafe bytes.withUnsafeBufferPointer { _ = unsafe own.update(from: $0) }
    }
  }
}
