// SPDX-License-Identifier: Apache-2.0

import Addressing
import Cryptography
public import Keys
public import Timing

extension Tunnel {
  /// Adds a peer, or gives a known one another configuration.
  ///
  /// Sessions survive a change of allowed addresses; they end when the static or the pre-shared key
  /// changes. Of two peers with one static key the later one stays.
  ///
  /// - Returns: False when there are 65,536 peers already; it is counted.
  @discardableResult
  public mutating func setPeer(
    _ id: PeerID,
    _ configuration: PeerConfiguration,
    at now: Instant,
    into effects: inout Effects
  ) -> Bool {
    if let slot = peers.slot(of: configuration.publicKey), peers.slots[slot].id != id {
      removePeer(peers.slots[slot].id)
    }
    if let slot = peers.slot(of: id),
      peers.slots[slot].configuration.publicKey != configuration.publicKey
    {
      removePeer(id)
    }
    guard let slot = peers.slot(of: id) ?? add(id, configuration, at: now) else {
      counters.peersRefused += 1
      return false
    }
    setAllowedIPs(of: slot, to: configuration.allowedIPs)
    peers.slots[slot].configure(configuration, at: now, &local)
    schedule(slot)
    return true
  }

  /// Makes room for that many peers, so that adding them moves none.
  public mutating func reserve(peers count: Int) {
    peers.reserve(min(count, ProtocolConstants.peersMaximum))
  }

  /// How many peers are awake: the rest is idle, and there is nothing to do for them.
  public var wakefulCount: Int { peers.slots.reduce(0) { $0 + ($1.isAsleep ? 0 : 1) } }

  /// Ends all sessions with a peer and forgets it.
  public mutating func removePeer(_ id: PeerID) {
    guard let slot = peers.slot(of: id) else { return }
    setAllowedIPs(of: slot, to: [])
    counters.stagedAbandoned += UInt64(peers.slots[slot].close(&local))
    deadlines.remove(slot)
    peers.release(slot)
  }

  /// Ends all sessions with a peer that is known to have been restarted.
  ///
  /// The stamp of its last initiation is forgotten too: after a restart its clock may have gone back.
  public mutating func resetSession(_ id: PeerID) {
    guard let slot = peers.slot(of: id) else { return }
    peers.slots[slot].endSessions(&local)
    peers.slots[slot].forgetHistory()
    schedule(slot)
  }

  /// Takes another static key for this node, which ends all sessions.
  public mutating func setPrivateKey(_ key: NodePrivateKey) {
    local.identity = Identity(key)
    local.gate = HandshakeGate(publicKey: local.identity.publicKey)
    for slot in peers.used {
      peers.slots[slot].endSessions(&local)
      peers.slots[slot].forgetIdentity()
      schedule(slot)
    }
  }

  private mutating func add(
    _ id: PeerID,
    _ configuration: PeerConfiguration,
    at now: Instant
  ) -> Int? {
    guard peers.count < ProtocolConstants.peersMaximum else { return nil }
    let seed = local.entropy.next()
    // Without addresses yet: they are compared with what the peer had.
    var bare = configuration
    bare.allowedIPs = []
    let slot = peers.add(id, configuration.publicKey) { slot in
      Peer(id, slot: slot, bare, at: now, jitterSeed: seed)
    }
    return slot
  }

  private mutating func setAllowedIPs(of slot: Int, to wanted: [IPPrefix]) {
    let peer = peers.slots[slot].id
    let had = peers.slots[slot].configuration.allowedIPs
    guard wanted != had else { return }
    let (old, new) = (Set(had.map(\.masked)), Set(wanted.map(\.masked)))
    for prefix in old.subtracting(new) { allowedIPs.remove(prefix, from: peer) }
    for prefix in new.subtracting(old) where !allowedIPs.insert(prefix, for: peer) {
      counters.prefixesRefused += 1
    }
  }
}
