// SPDX-License-Identifier: Apache-2.0

public import Keys
public import Timing

/// Where one connection's packets went lately, so that the next to the same client takes no lock
/// that others take.
///
/// Belongs to the reader of one connection alone. Entries lead to the peers of a key, not to one
/// connection: a client that connects twice, or again before its last connection is gone, needs no
/// other entry. When the last connection of a key goes, its peers are retired for good, and whoever
/// comes next with that key gets new ones: an entry is valid as long as its peers are, which is one
/// word to look at.
///
/// Open addressing, at most half full. A client chooses the keys that it sends to, and could choose
/// ones that collide: it would slow down itself.
@safe public struct PeerLookupCache: ~Copyable {
  /// How much is remembered.
  public struct Limits: Hashable, Sendable {
    /// The most entries; none where zero.
    public var entries: Int
    /// How long an entry that is not used stays, when pings come.
    public var idle: Duration

    /// What fits a client that talks to a house full of others.
    public static let automaticEntries = 128
    /// More than this no client gets.
    public static let maximumEntries = 65_536
    /// How long an unused entry stays.
    public static let automaticIdle = Duration.seconds(600)

    /// Limits as asked for: zero means automatic, a negative number of entries none at all.
    public init(entries: Int = 0, idle: Duration = .zero) {
      self.entries =
        entries < 0
        ? 0 : entries == 0 ? Self.automaticEntries : min(entries, Self.maximumEntries)
      self.idle = idle <= .zero ? Self.automaticIdle : idle
    }

    /// No cache.
    public static let disabled = Limits(entries: -1)
  }

  /// The time of the last use is written only when it is older than this, or than the idle time.
  public static let refreshAfter = Duration.seconds(30)
  /// How many entries are looked at to find one that makes room.
  static let evictionSamples = 8
  private static let smallest = 8

  @unsafe @usableFromInline struct Slot {
    @usableFromInline var words: (UInt64, UInt64, UInt64, UInt64)
    /// Retained by the table; nil in a free slot.
    @usableFromInline var peers: Unmanaged<RelayPeers>?
    @usableFromInline var lastUsed: Int64
  }

  /// How many entries there are.
  public private(set) var count = 0
  private let limits: Limits
  private let idle: Int64
  private var hand = 0
  @usableFromInline let refresh: Int64
  @usableFromInline var mask = -1
  @usableFromInline var slots: UnsafeMutablePointer<Slot>

  /// An empty cache, which takes no room before it is used.
  public init(_ limits: Limits = Limits()) {
    self.limits = limits
    idle = limits.idle.wholeNanoseconds
    refresh = min(Self.refreshAfter.wholeNanoseconds, idle)
    unsafe slots = Self.allocate(1)
  }

  deinit {
    // SAFETY: the table has mask + 1 slots, one where the mask says none; each entry was retained
    // when it came and is released once, here or when it went.
    for index in 0...max(mask, 0) { unsafe Self.release(slots[index].peers) }
    unsafe slots.deallocate()
  }

  private static func allocate(_ count: Int) -> UnsafeMutablePointer<Slot> {
    let slots = UnsafeMutablePointer<Slot>.allocate(capacity: count)
    // SAFETY: exactly the slots that were allocated.
    unsafe slots.initialize(
      repeating: Slot(words: (0, 0, 0, 0), peers: nil, lastUsed: 0),
      count: count
    )
    return unsafe slots
  }

  // MARK: Looking up

  @inlinable static func hash(_ words: (UInt64, UInt64, UInt64, UInt64)) -> Int {
    Int(truncatingIfNeeded: ((words.0 ^ words.2) &* 0x9E37_79B9_7F4A_7C15) >> 32)
  }

  /// The live peers of `key`, if they are remembered; calls `body` with them.
  ///
  /// Nothing is retained, counted or locked. `body` must not use this cache.
  ///
  /// - Returns: What `body` returns; nil where the key is not remembered, or its peers are retired.
  @inlinable public mutating func withPeers<Value>(
    of key: NodeKey,
    at now: Instant,
    _ body: (RelayPeers) -> Value
  ) -> Value? {
    let words = key.words
    var index = Self.hash(words) & mask
    // An empty table has one free slot and a mask of all ones, which must not be followed.
    if mask < 0 { index = 0 }
    while true {
      // SAFETY: the index is masked to the table, which always has a free slot to end the search.
      let slot = unsafe slots + index
      guard let peers = unsafe slot.pointee.peers else { return nil }
      let other = unsafe slot.pointee.words
      if (other.0 ^ words.0) | (other.1 ^ words.1) | (other.2 ^ words.2) | (other.3 ^ words.3) == 0
      {
        // SAFETY: the table holds a reference until the entry is removed, which only this
        // connection's reader can do, and it is here.
        guard unsafe peers._withUnsafeGuaranteedRef({ $0.isLive }) else {
          remove(at: index)
          return nil
        }
        let age = unsafe now.nanoseconds &- slot.pointee.lastUsed
        if age >= refresh { unsafe slot.pointee.lastUsed = now.nanoseconds }
        return unsafe peers._withUnsafeGuaranteedRef { body($0) }
      }
      index = (index + 1) & mask
    }
  }

  // MARK: Changing

  /// Remembers the peers of a key, at the cost of an entry that was used long ago where it is full.
  public mutating func insert(_ peers: RelayPeers, at now: Instant) {
    guard limits.entries > 0 else { return }
    remove(peers.key)
    if count == limits.entries { evict() }
    if (count + 1) * 2 > mask + 1 { grow() }
    let index = free(for: peers.key.words)
    // SAFETY: `free` found a slot of the table that nobody uses.
    unsafe slots[index] = Slot(
      words: peers.key.words,
      peers: Unmanaged.passRetained(peers),
      lastUsed: now.nanoseconds
    )
    count += 1
  }

  /// Forgets a key.
  public mutating func remove(_ key: NodeKey) {
    guard count > 0 else { return }
    let words = key.words
    var index = Self.hash(words) & mask
    // SAFETY: as in `withPeers`.
    while unsafe slots[index].peers != nil {
      if unsafe slots[index].words == words { return remove(at: index) }
      index = (index + 1) & mask
    }
  }

  /// Forgets what was not used for long; to be called when the client pings.
  ///
  /// - Returns: How many entries went.
  @discardableResult public mutating func trim(at now: Instant) -> Int {
    guard count > 0 else { return 0 }
    let before = count
    var index = 0
    while index <= mask {
      // SAFETY: the index is within the table.
      let isOld =
        unsafe slots[index].peers != nil && now.nanoseconds &- slots[index].lastUsed >= idle
      // What moves into the place of an entry that went is looked at, too.
      if isOld { remove(at: index) } else { index += 1 }
    }
    return before - count
  }

  /// Removes an entry, and moves those that were displaced by it.
  @usableFromInline mutating func remove(at hole: Int) {
    var hole = hole
    // SAFETY: all indices are masked to the table. The entry's reference is given up once: what
    // moves takes its reference along.
    unsafe Self.release(slots[hole].peers)
    count -= 1
    var index = (hole + 1) & mask
    while unsafe slots[index].peers != nil {
      let home = unsafe Self.hash(slots[index].words) & mask
      if (index &- home) & mask >= (index &- hole) & mask {
        unsafe slots[hole] = slots[index]
        hole = index
      }
      index = (index + 1) & mask
    }
    unsafe slots[hole].peers = nil
  }

  private static func release(_ peers: Unmanaged<RelayPeers>?) {
    // SAFETY: the caller gives up the reference that `insert` took.
    unsafe peers?.release()
  }

  /// Removes the one used longest ago of a few, of which the choice goes round.
  private mutating func evict() {
    var oldest: (index: Int, lastUsed: Int64)?
    var seen = 0
    while seen < Self.evictionSamples, seen < count {
      hand = (hand + 1) & mask
      // SAFETY: the index is masked to the table.
      guard unsafe slots[hand].peers != nil else { continue }
      seen += 1
      let lastUsed = unsafe slots[hand].lastUsed
      if lastUsed < oldest?.lastUsed ?? .max { oldest = (hand, lastUsed) }
    }
    if let oldest { remove(at: oldest.index) }
  }

  private mutating func grow() {
    let old = unsafe slots
    let size = mask < 0 ? 0 : mask + 1
    let larger = max(Self.smallest, size * 2)
    unsafe slots = Self.allocate(larger)
    mask = larger - 1
    // SAFETY: the old table has `size` slots; its references move along.
    for index in 0..<size where unsafe old[index].peers != nil {
      unsafe slots[free(for: old[index].words)] = old[index]
    }
    unsafe old.deallocate()
  }

  private func free(for words: (UInt64, UInt64, UInt64, UInt64)) -> Int {
    var index = Self.hash(words) & mask
    // SAFETY: as in `withPeers`.
    while unsafe slots[index].peers != nil { index = (index + 1) & mask }
    return index
  }
}
