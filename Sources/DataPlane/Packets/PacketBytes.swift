// SPDX-License-Identifier: Apache-2.0

public import Addressing

/// A packet in memory that someone else owns, read and written in place.
///
/// The hot path works in buffers that live as long as the data thread; this is the one type through
/// which it touches them. Every offset is checked against `count`; the lifetime of the memory is the
/// promise of whoever calls the initialiser, and is not extended by keeping the value.
@safe
public struct PacketBytes {
  @usableFromInline let base: UnsafeMutableRawPointer
  /// How many bytes may be touched.
  public let count: Int

  /// A window on `count` bytes at `base`.
  ///
  /// The memory must stay valid for as long as this value and its slices are used.
  @unsafe
  @inlinable
  public init(_ base: UnsafeMutableRawPointer, count: Int) {
    precondition(count >= 0, "a packet has no negative length")
    unsafe self.base = base
    self.count = count
  }

  /// The start of the memory, for system calls and ciphers.
  @unsafe
  @inlinable
  public var pointer: UnsafeMutableRawPointer { unsafe base }

  @inlinable
  func check(_ offset: Int, _ width: Int) {
    precondition(offset >= 0 && width >= 0 && offset <= count - width, "outside the packet")
  }

  /// The byte at `offset`.
  @inlinable
  public subscript(offset: Int) -> UInt8 {
    get {
      check(offset, 1)
      // SAFETY: the offset was checked against the window.
      return unsafe base.load(fromByteOffset: offset, as: UInt8.self)
    }
    nonmutating set {
      check(offset, 1)
      // SAFETY: the offset was checked against the window.
      unsafe base.storeBytes(of: newValue, toByteOffset: offset, as: UInt8.self)
    }
  }

  /// The bytes in `range` as a window of their own.
  @inlinable
  public func slice(_ range: Range<Int>) -> PacketBytes {
    check(range.lowerBound, range.count)
    // SAFETY: the range was checked against the window.
    return unsafe PacketBytes(base + range.lowerBound, count: range.count)
  }

  /// The integer at `offset` in the byte order of the machine.
  @inlinable
  public func native<Value: FixedWidthInteger & BitwiseCopyable>(
    _: Value.Type,
    at offset: Int
  ) -> Value {
    check(offset, MemoryLayout<Value>.size)
    // SAFETY: the offset was checked against the window.
    return unsafe base.loadUnaligned(fromByteOffset: offset, as: Value.self)
  }

  /// Stores an integer at `offset` in the byte order of the machine.
  @inlinable
  public func storeNative<Value: FixedWidthInteger & BitwiseCopyable>(
    _ value: Value,
    at offset: Int
  ) {
    check(offset, MemoryLayout<Value>.size)
    // SAFETY: the offset was checked against the window.
    unsafe base.storeBytes(of: value, toByteOffset: offset, as: Value.self)
  }

  /// The two bytes at `offset`, most significant first.
  @inlinable
  public func uint16(at offset: Int) -> UInt16 { native(UInt16.self, at: offset).bigEndian }

  /// The four bytes at `offset`, most significant first.
  @inlinable
  public func uint32(at offset: Int) -> UInt32 { native(UInt32.self, at: offset).bigEndian }

  /// The eight bytes at `offset`, most significant first.
  @inlinable
  public func uint64(at offset: Int) -> UInt64 { native(UInt64.self, at: offset).bigEndian }

  /// Stores two bytes at `offset`, most significant first.
  @inlinable
  public func store(_ value: UInt16, at offset: Int) { storeNative(value.bigEndian, at: offset) }

  /// Stores four bytes at `offset`, most significant first.
  @inlinable
  public func store(_ value: UInt32, at offset: Int) { storeNative(value.bigEndian, at: offset) }

  /// The address of `family` at `offset`.
  @inlinable
  public func address(_ family: IPAddress.Family, at offset: Int) -> IPAddress {
    family == .v4
      ? IPAddress(v4: uint32(at: offset))
      : IPAddress(high: uint64(at: offset), low: uint64(at: offset + 8))
  }

  /// Sets the bytes in `range` to zero.
  @inlinable
  public func clear(_ range: Range<Int>) {
    check(range.lowerBound, range.count)
    // SAFETY: the range was checked against the window.
    unsafe (base + range.lowerBound).initializeMemory(
      as: UInt8.self,
      repeating: 0,
      count: range.count
    )
  }

  /// Copies all of `source` to `offset`.
  @inlinable
  public func copy(_ source: PacketBytes, to offset: Int = 0) {
    check(offset, source.count)
    // SAFETY: both ranges were checked; `copyMemory` allows them to overlap.
    unsafe (base + offset).copyMemory(from: source.base, byteCount: source.count)
  }

  /// Copies all of `source` to `offset`.
  public func copy(_ source: [UInt8], to offset: Int = 0) {
    check(offset, source.count)
    // SAFETY: the range was checked, and an array never lies in memory that is not its own.
    unsafe source.withUnsafeBytes { bytes in
      guard let start = bytes.baseAddress else { return }
      unsafe (base + offset).copyMemory(from: start, byteCount: bytes.count)
    }
  }

  /// Whether `count` bytes at `offset` equal those at the same offset of `other`.
  @inlinable
  public func equals(_ other: PacketBytes, at offset: Int, count length: Int) -> Bool {
    check(offset, length)
    other.check(offset, length)
    var index = offset
    let end = offset + length
    while index + 4 <= end {
      if native(UInt32.self, at: index) != other.native(UInt32.self, at: index) { return false }
      index += 4
    }
    while index < end {
      if self[index] != other[index] { return false }
      index += 1
    }
    return true
  }

  /// A copy of the bytes.
  public var array: [UInt8] {
    // SAFETY: the window covers `count` bytes.
    unsafe Array(UnsafeRawBufferPointer(start: base, count: count))
  }
}

extension Array where Element == UInt8 {
  /// Lends an array as packet bytes for the length of `body`.
  public mutating func withPacketBytes<Result>(_ body: (PacketBytes) -> Result) -> Result {
    let length = count
    // An empty array may have no address, and a packet of no bytes needs one all the same.
    if isEmpty { append(0) }
    defer { if length == 0 { removeAll() } }
    return unsafe withUnsafeMutableBytes { buffer in
      guard let base = buffer.baseAddress else { preconditionFailure("the array is not empty") }
      // SAFETY: the buffer has at least `length` bytes and is valid during this closure.
      return unsafe body(PacketBytes(base, count: length))
    }
  }
}
