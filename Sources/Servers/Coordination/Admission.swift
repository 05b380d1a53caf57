// SPDX-License-Identifier: Apache-2.0

internal import Bytes
internal import ControlProtocol
internal import Cryptography
internal import Keys
internal import Timing

/// A machine whose right to come in is proven, and what it is to become.
struct Candidate {
  var machineKey: MachineKey
  var nodeKey: NodeKey
  var oldNodeKey: NodeKey
  var hostinfo: Hostinfo
  var capabilityVersion: Int
  var owner: NodeRecord.Owner
  var method: NodeRecord.Method
  var isEphemeral: Bool
  var expiry: Timestamp?
  /// Whether it needs nobody's approval, where nodes do.
  var isApproved = false
}

extension Tailnet {
  /// Makes a node of a candidate: the one that it already was, with a new key, or a new one.
  ///
  /// A machine has one node a user and one tagged node. When it comes back as the same owner, it is
  /// the same node with the same addresses and name.
  mutating func admit(
    _ candidate: Candidate,
    at now: Moment,
    using entropy: inout Entropy,
    into effects: inout Effects
  ) throws(Refusal) -> NodeRecord {
    guard node(with: candidate.nodeKey) == nil else {
      throw .conflict("This node key is in use.")
    }
    var node: NodeRecord
    if let before = previous(of: candidate) {
      node = renewed(before, as: candidate, at: now)
    } else {
      node = try made(of: candidate, at: now, using: &entropy)
    }
    node.approvedRoutes = approvedRoutes(of: node)
    put(node, at: now, into: &effects)
    if node.isEphemeral, !isOnline(node.id) { awaitReturn(of: node.id, at: now) }
    return node
  }

  /// The node that a candidate was before.
  ///
  /// A node changes from a user's to tagged or back only when the machine itself names it by its old
  /// key; it never changes from one user's to another's.
  private func previous(of candidate: Candidate) -> NodeRecord? {
    let own = nodes(on: candidate.machineKey)
    let same = own.first { node in
      switch (node.owner, candidate.owner) {
      case (.user(let old), .user(let new)): old == new
      case (.tags, .tags): true
      default: false
      }
    }
    return same
      ?? own.first { node in
        guard node.nodeKey == candidate.oldNodeKey else { return false }
        if case .user = node.owner, case .user = candidate.owner { return false }
        return true
      }
  }

  private func renewed(
    _ before: NodeRecord,
    as candidate: Candidate,
    at now: Moment
  ) -> NodeRecord {
    var node = before
    node.nodeKey = candidate.nodeKey
    node.owner = candidate.owner
    node.method = candidate.method
    node.isEphemeral = candidate.isEphemeral
    node.capabilityVersion = candidate.capabilityVersion
    node.expiry = expiry(for: candidate, at: now)
    // Approval is for a machine in the hands of one owner.
    if before.owner != candidate.owner { node.isAuthorized = isAuthorized(candidate) }
    if candidate.isApproved { node.isAuthorized = true }
    adopt(candidate.hostinfo, in: &node)
    return node
  }

  private mutating func made(
    of candidate: Candidate,
    at now: Moment,
    using entropy: inout Entropy
  ) throws(Refusal) -> NodeRecord {
    let addresses = try allocateAddresses(at: now, from: addressPools(for: candidate.owner))
    let base = NodeName.sanitized(candidate.hostinfo.hostname)
    return NodeRecord(
      id: nextNodeID(),
      stableID: newStableID(using: &entropy),
      machineKey: candidate.machineKey,
      nodeKey: candidate.nodeKey,
      owner: candidate.owner,
      method: candidate.method,
      name: NodeName.unique(base) { isFree(name: $0) },
      addresses: addresses,
      hostinfo: candidate.hostinfo,
      capabilityVersion: candidate.capabilityVersion,
      isEphemeral: candidate.isEphemeral,
      created: now.time,
      expiry: expiry(for: candidate, at: now),
      isAuthorized: isAuthorized(candidate)
    )
  }

  /// Whether a candidate may talk to others at once.
  private func isAuthorized(_ candidate: Candidate) -> Bool {
    candidate.isApproved || !options.needsApproval
  }

  /// A name for clients that no other server gives.
  func newStableID(using entropy: inout Entropy) -> String { "n" + Hex.encode(entropy.bytes(8)) }

  /// When a candidate's key ends: the earlier of its wish and our rule; tagged nodes have no rule.
  private func expiry(for candidate: Candidate, at now: Moment) -> Timestamp? {
    var end: Timestamp?
    if case .user = candidate.owner, let lifetime = options.keyLifetime {
      end = now.time + lifetime
    }
    guard let wish = candidate.expiry, !wish.isZero else { return end }
    return end.map { min($0, wish) } ?? wish
  }

  /// Takes over what a node tells of itself; its name follows unless an administrator chose one.
  func adopt(_ hostinfo: Hostinfo, in node: inout NodeRecord) {
    let old = node.hostinfo
    node.hostinfo = hostinfo
    if hostinfo.netInfo == nil { node.hostinfo.netInfo = old.netInfo }
    let base = NodeName.sanitized(hostinfo.hostname)
    guard !node.isNameChosen, base != NodeName.sanitized(old.hostname) else { return }
    let id = node.id
    node.name = NodeName.unique(base) { isFree(name: $0, for: id) }
  }
}
