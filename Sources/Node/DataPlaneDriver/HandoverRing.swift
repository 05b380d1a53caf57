// SPDX-License-Identifier: Apache-2.0

import Addressing
import Packets
import Synchronization

/// Trains on their way from one shard to another: one thread puts them in, one takes them out.
///
/// A ring of bytes, allocated once. A train is copied in whole, with its length, and handled where it
/// lies; no lock is taken and nothing is allocated. When it is full the train is not taken.
@safe
final class HandoverRing: @unchecked Sendable {
  // SAFETY: `written` belongs to the one thread that puts in, `taken` to the one that takes out; what
  // lies between them passes from one to the other with `tail` and `head`, which release and acquire.

  /// What a train is.
  enum Kind: UInt8, Hashable, Sendable {
    /// From the host, behind its offload header, for a peer of the other shard.
    case outbound = 1
    /// From the network, for the other shard.
    case owned = 2
    /// From the network, for the first shard to find out whose it is.
    case unsorted = 3
  }

  /// A train that lies in the ring.
  struct Entry {
    var kind: Kind
    var segmentSize: Int
    var source: Endpoint
    /// Its bytes, good until `release`.
    var bytes: PacketBytes
  }

  /// How many bytes it holds: several of the largest trains.
  static let capacity = 512 << 10
  private static let headerSize = 32
  private static let filler: UInt8 = 0

  private let memory: UnsafeMutableRawPointer
  private let head = Atomic(0)
  private let tail = Atomic(0)
  private var written = 0
  private var taken = 0
  /// The length of the entry that `next` showed.
  private var shown = 0

  init() { unsafe memory = .allocate(byteCount: Self.capacity, alignment: 64) }

  deinit { unsafe memory.deallocate() }

  // MARK: Putting in

  /// Copies a train in.
  ///
  /// - Returns: Whether there was room.
  func put(
    _ kind: Kind,
    _ bytes: PacketBytes,
    segmentSize: Int = 0,
    source: Endpoint = Endpoint(.unspecified(.v4), port: 0)
  ) -> Bool {
    let size = Self.headerSize + (bytes.count + 7) & ~7
    let position = written % Self.capacity
    let behind = Self.capacity - position
    let needed = size <= behind ? size : behind + size
    guard written + needed - head.load(ordering: .acquiring) <= Self.capacity else { return false }
    if size > behind, behind >= Self.headerSize { fill(position) }
    write(kind, bytes, segmentSize, source, at: size <= behind ? position : 0)
    written += needed
    tail.store(written, ordering: .releasing)
    return true
  }

  private func fill(_ position: Int) {
    // SAFETY: the caller saw room for a header there.
    unsafe memory.storeBytes(of: Self.filler, toByteOffset: position + 8, as: UInt8.self)
  }

  private func write(
    _ kind: Kind,
    _ bytes: PacketBytes,
    _ segmentSize: Int,
    _ source: Endpoint,
    at position: Int
  ) {
    // SAFETY: the caller saw room for header and bytes, which nobody reads before `tail` moves.
    let base = unsafe memory + position
    unsafe base.storeBytes(of: UInt32(bytes.count), as: UInt32.self)
    unsafe base.storeBytes(of: UInt32(segmentSize), toByteOffset: 4, as: UInt32.self)
    unsafe base.storeBytes(of: kind.rawValue, toByteOffset: 8, as: UInt8.self)
    unsafe base.storeBytes(of: source.address.isV4 ? 4 : 6, toByteOffset: 9, as: UInt8.self)
    unsafe base.storeBytes(of: source.port, toByteOffset: 10, as: UInt16.self)
    unsafe base.storeBytes(of: source.address.high, toByteOffset: 16, as: UInt64.self)
    unsafe base.storeBytes(of: source.address.low, toByteOffset: 24, as: UInt64.self)
    unsafe (base + Self.headerSize).copyMemory(from: bytes.pointer, byteCount: bytes.count)
  }

  // MARK: Taking out

  /// The oldest train; nil when there is none.
  func next() -> Entry? {
    let end = tail.load(ordering: .acquiring)
    while taken < end {
      let position = taken % Self.capacity
      let behind = Self.capacity - position
      if behind >= Self.headerSize, let entry = read(position) {
        shown = Self.headerSize + (entry.bytes.count + 7) & ~7
        return entry
      }
      taken += behind
    }
    return nil
  }

  /// Gives up the bytes of the train that `next` showed.
  func release() {
    taken += shown
    shown = 0
    head.store(taken, ordering: .releasing)
  }

  private func read(_ position: Int) -> Entry? {
    // SAFETY: an entry or a filler was written here before `tail` moved past it.
    let base = unsafe memory + position
    guard let kind = Kind(rawValue: unsafe base.load(fromByteOffset: 8, as: UInt8.self)) else {
      return nil
    }
    let low = unsafe base.load(fromByteOffset: 24, as: UInt64.self)
    let address =
      unsafe base.load(fromByteOffset: 9, as: UInt8.self) == 4
      ? IPAddress(v4: UInt32(truncatingIfNeeded: low))
      : IPAddress(high: unsafe base.load(fromByteOffset: 16, as: UInt64.self), low: low)
    return Entry(
      kind: kind,
      segmentSize: Int(unsafe base.load(fromByteOffset: 4, as: UInt32.self)),
      source: Endpoint(address, port: unsafe base.load(fromByteOffset: 10, as: UInt16.self)),
      bytes: unsafe PacketBytes(
        base + Self.headerSize,
        count: Int(base.load(as: UInt32.self))
      )
    )
  }
}
