// SPDX-License-Identifier: Apache-2.0

public import Keys

/// Which of several tunnels of one node this is, each with peers of its own.
///
/// Who owns a peer follows from its number alone and never changes; who owns a session is written in
/// the low bits of our index for it, where a socket filter finds it.
public struct Shard: Hashable, Sendable {
  /// The most shards of one node.
  public static let maximumCount = 1 << receiverBits
  /// How many bits of a receiver index name the shard, where there are several.
  static let receiverBits = 3
  /// Those bits.
  public static let receiverMask = UInt32(maximumCount - 1)
  /// The one shard that owns all peers.
  public static let only = Shard(0, of: 1)

  /// Its number, from 0.
  public let index: Int
  /// How many there are.
  public let count: Int

  /// Shard `index` of `count`.
  public init(_ index: Int, of count: Int) {
    precondition((1...Self.maximumCount).contains(count), "there are 1 to 8 shards")
    precondition((0..<count).contains(index), "a shard's number is below their count")
    (self.index, self.count) = (index, count)
  }

  /// Whether it owns everything.
  @inlinable public var isOnly: Bool { count == 1 }

  /// The shard that owns a peer.
  @inlinable public func owner(of peer: PeerID) -> Int {
    isOnly ? 0 : Int(UInt64(bitPattern: peer.rawValue) % UInt64(count))
  }

  /// The shard that gave out a receiver index.
  @inlinable public func owner(ofReceiver index: UInt32) -> Int {
    let owner = Int(index & Self.receiverMask)
    return owner < count ? owner : 0
  }

  /// A receiver index of this shard made from a random one.
  func receiver(from random: UInt32) -> UInt32 {
    isOnly ? random : random & ~Self.receiverMask | UInt32(index)
  }
}
