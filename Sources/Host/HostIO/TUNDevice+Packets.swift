// SPDX-License-Identifier: Apache-2.0

internal import CHost
internal import Glibc

extension TUNDevice {
  /// What a read brought.
  public enum ReadResult: Hashable, Sendable {
    /// So many bytes: the header, then a packet or a train.
    case packet(Int)
    /// Nothing is waiting.
    case wouldBlock
    /// The interface is down or was removed, with its `errno`; reading on brings nothing.
    case gone(Int32)
  }

  /// What became of a write.
  public enum WriteResult: Hashable, Sendable {
    /// The host took it.
    case written
    /// The host's queue is full.
    case wouldBlock
    /// The host found the packet or its header malformed.
    case refused
    /// The interface is down.
    case down
    /// The interface was removed, with its `errno`.
    case gone(Int32)
  }

  /// Reads one packet or train with its header into `buffer`, which should hold `readCapacity`.
  public func read(into buffer: UnsafeMutableRawBufferPointer) -> ReadResult {
    // SAFETY: the buffer outlives the call.
    let count = unsafe chost_read(descriptor.rawValue, buffer.baseAddress, buffer.count)
    if count >= 0 { return .packet(count) }
    return count == -Int(EAGAIN) ? .wouldBlock : .gone(Int32(truncatingIfNeeded: -count))
  }

  /// Writes one packet or train, the header included, that lies in one piece.
  public func write(_ packet: UnsafeRawBufferPointer) -> WriteResult {
    // SAFETY: the packet outlives the call.
    Self.result(unsafe chost_write(descriptor.rawValue, packet.baseAddress, packet.count))
  }

  /// Writes one packet or train, the header first, gathered from `pieces`.
  public func write(_ pieces: borrowing GatherList) -> WriteResult {
    // SAFETY: the list's pieces live through the call, as their owner vouched.
    Self.result(
      unsafe chost_write_vectors(descriptor.rawValue, pieces.vectors, Int32(pieces.count))
    )
  }

  @inline(__always) private static func result(_ written: Int) -> WriteResult {
    if written >= 0 { return .written }
    return switch Int32(truncatingIfNeeded: -written) {
    case EAGAIN, ENOBUFS, ENOMEM: .wouldBlock
    case EINVAL, EMSGSIZE, EFAULT: .refused
    case EIO: .down
    case let code: .gone(code)
    }
  }
}

/// Pieces of memory that are written as one packet, without copying them together.
///
/// Filled and written over and over; it allocates once, when it is made. The pieces are borrowed:
/// they must live until the write.
@safe public struct GatherList: ~Copyable {
  /// The most pieces that the kernel takes in one write.
  public static let maximumCount = 1024

  let vectors: UnsafeMutablePointer<iovec>
  /// How many pieces it has.
  public private(set) var count = 0
  /// How many bytes they have together.
  public private(set) var byteCount = 0

  /// An empty list.
  public init() {
    unsafe vectors = .allocate(capacity: Self.maximumCount)
    unsafe vectors.initialize(repeating: iovec(), count: Self.maximumCount)
  }

  deinit { unsafe vectors.deallocate() }

  /// Adds a piece.
  ///
  /// - Returns: False when the list is full.
  @unsafe public mutating func append(_ piece: UnsafeRawBufferPointer) -> Bool {
    guard count < Self.maximumCount else { return false }
    // SAFETY: `count` is below the capacity; the kernel only reads what a write gathers.
    unsafe vectors[count] = iovec(
      iov_base: UnsafeMutableRawPointer(mutating: piece.baseAddress),
      iov_len: piece.count
    )
    count += 1
    byteCount += piece.count
    return true
  }

  /// Forgets the pieces.
  public mutating func removeAll() { (count, byteCount) = (0, 0) }
}
