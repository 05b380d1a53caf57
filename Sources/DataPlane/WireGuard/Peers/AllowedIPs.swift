// SPDX-License-Identifier: Apache-2.0

public import Addressing
public import Keys

/// Cryptokey routing: which peer a destination belongs to and a source may come from.
///
/// The longest prefix wins. Of two peers with the same prefix the one that asked last has it; when it
/// goes, the one before has it again.
public struct AllowedIPs: Sendable {
  /// How many prefixes are taken, those that wait for another peer to give them up among them.
  public static let maximumCount = 1 << 18

  private var table = PrefixTable<PeerID>()
  /// Who else asked for a prefix, first one first.
  private var waiting: [IPPrefix: [PeerID]] = [:]
  private var waitingCount = 0

  /// No routes.
  public init() {}

  /// The peer that an address belongs to.
  public func peer(for address: IPAddress) -> PeerID? { table[address] }

  /// The peer that has exactly this prefix.
  public func peer(exactly prefix: IPPrefix) -> PeerID? { table.value(exactly: prefix.masked) }

  /// How many prefixes it holds.
  public var count: Int { table.count }

  /// Makes room for that many prefixes.
  public mutating func reserve(_ count: Int) { table.reserve(min(count, Self.maximumCount)) }

  /// Gives a prefix to a peer.
  ///
  /// - Returns: False when there are `maximumCount` prefixes already; then nothing changes.
  @discardableResult
  public mutating func insert(_ prefix: IPPrefix, for peer: PeerID) -> Bool {
    let prefix = prefix.masked
    guard count + waitingCount < Self.maximumCount else { return false }
    guard let owner = table.insert(peer, for: prefix), owner != peer else { return true }
    forgetWaiting(peer, for: prefix)
    waiting[prefix, default: []].append(owner)
    waitingCount += 1
    return true
  }

  /// Takes a prefix from a peer; nothing changes if it did not ask for it.
  public mutating func remove(_ prefix: IPPrefix, from peer: PeerID) {
    let prefix = prefix.masked
    guard table.value(exactly: prefix) == peer else {
      return forgetWaiting(peer, for: prefix)
    }
    if let heir = waiting[prefix]?.last {
      forgetWaiting(heir, for: prefix)
      table.insert(heir, for: prefix)
    } else {
      table.remove(prefix)
    }
  }

  private mutating func forgetWaiting(_ peer: PeerID, for prefix: IPPrefix) {
    guard let place = waiting[prefix]?.firstIndex(of: peer) else { return }
    waiting[prefix]?.remove(at: place)
    waitingCount -= 1
    if waiting[prefix]?.isEmpty == true { waiting[prefix] = nil }
  }
}
