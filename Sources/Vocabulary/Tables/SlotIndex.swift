// SPDX-License-Identifier: Apache-2.0

/// Finds the slot of something in a table by 32 bits that follow from its name.
///
/// The names stay in the table: an entry here is eight bytes, a tag and a slot. Open addressing with
/// the next free place, so that a look-up reads one cache line in most cases, and a removal moves the
/// entries behind it up. Tags must be evenly spread: they come from a `SlotHash`, or are random.
public struct SlotIndex: Sendable {
  /// The tag above, the slot and one below; zero where nothing is.
  ///
  /// As many as a power of two, or none.
  @usableFromInline var entries: [UInt64] = []
  /// How many slots it finds.
  public private(set) var count = 0

  /// An index of nothing.
  public init() {}

  /// The slot with this tag that `matches`.
  @inlinable
  public func slot(of tag: UInt32, where matches: (Int) -> Bool) -> Int? {
    guard !entries.isEmpty else { return nil }
    let mask = entries.count - 1
    var place = Int(tag) & mask
    while true {
      let entry = entries[place]
      if entry == 0 { return nil }
      if UInt32(truncatingIfNeeded: entry >> 32) == tag {
        let slot = Int(UInt32(truncatingIfNeeded: entry)) - 1
        if matches(slot) { return slot }
      }
      place = (place + 1) & mask
    }
  }

  /// The slot with this tag, where no two have the same.
  @inlinable public func slot(of tag: UInt32) -> Int? { slot(of: tag) { _ in true } }

  /// Calls `body` with every slot that has this tag.
  @inlinable
  public func forEachSlot(of tag: UInt32, _ body: (Int) -> Void) {
    _ = slot(of: tag) { slot in
      body(slot)
      return false
    }
  }

  /// Adds a slot, which must not be there yet.
  public mutating func insert(_ slot: Int, tag: UInt32) {
    if (count + 1) * 4 > entries.count * 3 { resize(to: max(8, entries.count * 2)) }
    place(UInt64(tag) << 32 | UInt64(slot + 1))
    count += 1
  }

  /// Takes a slot out.
  public mutating func remove(_ slot: Int, tag: UInt32) {
    guard var hole = index(of: slot, tag: tag) else { return }
    count -= 1
    let mask = entries.count - 1
    var next = (hole + 1) & mask
    while entries[next] != 0 {
      // An entry may fill the hole unless its search begins behind it.
      let home = Int(entries[next] >> 32) & mask
      if (next - home) & mask >= (next - hole) & mask {
        entries[hole] = entries[next]
        hole = next
      }
      next = (next + 1) & mask
    }
    entries[hole] = 0
    if entries.count > 8, count * 8 < entries.count { resize(to: entries.count / 4) }
  }

  /// Notes that what was in one slot is in another now.
  public mutating func move(_ slot: Int, to other: Int, tag: UInt32) {
    guard let place = index(of: slot, tag: tag) else { return }
    entries[place] = UInt64(tag) << 32 | UInt64(other + 1)
  }

  /// Makes room for `capacity` slots, so that adding that many moves nothing.
  public mutating func reserve(_ capacity: Int) {
    var size = max(8, entries.count)
    while capacity * 4 > size * 3 { size *= 2 }
    if size != entries.count { resize(to: size) }
  }

  private func index(of slot: Int, tag: UInt32) -> Int? {
    guard !entries.isEmpty else { return nil }
    let wanted = UInt64(tag) << 32 | UInt64(slot + 1)
    let mask = entries.count - 1
    var place = Int(tag) & mask
    while entries[place] != wanted {
      if entries[place] == 0 { return nil }
      place = (place + 1) & mask
    }
    return place
  }

  private mutating func resize(to size: Int) {
    let old = entries
    entries = [UInt64](repeating: 0, count: size)
    for entry in old where entry != 0 { place(entry) }
  }

  private mutating func place(_ entry: UInt64) {
    let mask = entries.count - 1
    var place = Int(entry >> 32) & mask
    while entries[place] != 0 { place = (place + 1) & mask }
    entries[place] = entry
  }
}
