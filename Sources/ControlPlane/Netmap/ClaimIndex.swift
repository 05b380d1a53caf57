// SPDX-License-Identifier: Apache-2.0

/// Who claims what: a key or an address should have one holder, but the server may say otherwise.
///
/// The lowest number wins, so that the order of events makes no difference.
struct ClaimIndex<Claim: Hashable & Sendable>: Sendable, Equatable {
  private var holders: [Claim: Int64] = [:]
  /// All holders of the claims that have several.
  private var rivals: [Claim: Set<Int64>] = [:]

  /// The node that holds `claim`.
  func holder(of claim: Claim) -> Int64? { holders[claim] }

  /// Adds a claim of `id`; returns another node that has it too.
  mutating func add(_ claim: Claim, of id: Int64) -> Int64? {
    guard let holder = holders[claim] else {
      holders[claim] = id
      return nil
    }
    guard holder != id, rivals[claim]?.contains(id) != true else { return nil }
    rivals[claim, default: [holder]].insert(id)
    holders[claim] = min(holder, id)
    return holder
  }

  /// Drops a claim of `id`.
  mutating func remove(_ claim: Claim, of id: Int64) {
    guard var rest = rivals[claim] else {
      if holders[claim] == id { holders[claim] = nil }
      return
    }
    rest.remove(id)
    holders[claim] = rest.min()
    rivals[claim] = rest.count > 1 ? rest : nil
  }
}
