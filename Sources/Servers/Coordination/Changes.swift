// SPDX-License-Identifier: Apache-2.0

/// Which facts of a node a patch may carry, instead of the whole node.
package struct PatchedFacts: OptionSet, Hashable, Sendable {
  /// One bit a fact.
  package let rawValue: UInt8

  /// The facts of these bits.
  package init(rawValue: UInt8) { self.rawValue = rawValue }

  /// Where it may be reached directly.
  package static let endpoints = PatchedFacts(rawValue: 1)
  /// The relay region it is reached through.
  package static let homeRelay = PatchedFacts(rawValue: 2)
  /// Whether it is connected, and since when it is not.
  package static let online = PatchedFacts(rawValue: 4)
  /// The key that signs its discovery messages.
  package static let discoKey = PatchedFacts(rawValue: 8)
  /// The version of the control protocol it speaks.
  package static let capabilityVersion = PatchedFacts(rawValue: 16)
}

/// Something that nodes are to be told, without what exactly each is to be told.
package enum Change: Hashable, Sendable {
  /// A node is new or different.
  case node(NodeID)
  /// A few facts of a node are different.
  case patch(NodeID, PatchedFacts)
  /// A node is gone.
  case removed(NodeID)
  /// A node that was locked out may see others again.
  case readmitted(NodeID)
  /// A node waits for approval again, and is seen by nobody.
  case withheld(NodeID)
  /// A user's names are different.
  case user(UserID)
  /// The relays are different.
  case relayMap
  /// What is told about names is different.
  case names
  /// What a node lets in, may do or is routed is different.
  case access(NodeID)
  /// There is another policy.
  case policy
}

/// Changes in the order in which they happened, numbered; the youngest are kept.
///
/// A map stream remembers a number only, so that what waits for a slow reader is nothing but the
/// distance to the head: it gets one message about all that happened since, or, when that is no
/// longer kept, the whole map again.
package struct ChangeLog: Sendable {
  /// How many changes are kept.
  package static let maximumCount = 8192

  private var changes: [Change] = []
  private var first = 0
  /// The number of the youngest change.
  package private(set) var head: Int64

  /// An empty log that goes on after number `head`.
  package init(head: Int64 = 0) { self.head = head }

  /// Notes a change, and numbers it.
  @discardableResult
  package mutating func append(_ change: Change) -> Int64 {
    changes.append(change)
    head += 1
    if changes.count - first > Self.maximumCount { first += 1 }
    if first > Self.maximumCount {
      changes.removeFirst(first)
      first = 0
    }
    return head
  }

  /// The changes after number `from` up to number `to`; nil when some are no longer kept.
  package func changes(after from: Int64, through to: Int64) -> ArraySlice<Change>? {
    precondition(from <= to && to <= head, "a map stream is never ahead of the change log")
    let oldest = head - Int64(changes.count - first)
    guard from >= oldest else { return nil }
    let start = first + Int(from - oldest)
    return changes[start..<start + Int(to - from)]
  }

  /// Forgets what is kept and leaves a gap, so that every stream gets the whole map.
  package mutating func restart() {
    changes = []
    first = 0
    head += 1
  }
}

/// What a run of changes comes to: each node is told about once.
package struct ChangeSummary: Hashable, Sendable {
  /// Nodes that are new or different.
  package private(set) var nodes: Set<NodeID> = []
  /// Nodes of which only a few facts are different.
  package private(set) var patches: [NodeID: PatchedFacts] = [:]
  /// Nodes that are gone.
  package private(set) var removed: Set<NodeID> = []
  /// Nodes that get everything again, because they were locked out.
  package private(set) var readmitted: Set<NodeID> = []
  /// Nodes that are seen by nobody any more, because they wait for approval.
  package private(set) var withheld: Set<NodeID> = []
  /// Users whose names are different.
  package private(set) var users: Set<UserID> = []
  /// Whether the relays are different.
  package private(set) var relayMap = false
  /// Whether what is told about names is different.
  package private(set) var names = false
  /// Nodes that let in something else, or may do or are routed something else.
  package private(set) var access: Set<NodeID> = []
  /// Whether there is another policy.
  package private(set) var policy = false

  /// What `changes` come to.
  package init(_ changes: some Sequence<Change>) {
    for change in changes { add(change) }
  }

  private mutating func add(_ change: Change) {
    switch change {
    case .node(let id):
      guard !removed.contains(id) else { return }
      nodes.insert(id)
      withheld.remove(id)
      patches[id] = nil
    case .patch(let id, let facts):
      guard !removed.contains(id), !nodes.contains(id) else { return }
      patches[id, default: []].formUnion(facts)
    case .removed(let id):
      nodes.remove(id)
      patches[id] = nil
      removed.insert(id)
    case .withheld(let id):
      nodes.remove(id)
      patches[id] = nil
      withheld.insert(id)
    case .readmitted(let id): readmitted.insert(id)
    case .user(let id): users.insert(id)
    case .relayMap: relayMap = true
    case .names: names = true
    case .access(let id): access.insert(id)
    case .policy: policy = true
    }
  }

  /// Nodes that others see no longer.
  package var gone: Set<NodeID> { removed.union(withheld) }

  /// Whether it says something of `node` itself, rather than of others only.
  package func touches(_ node: NodeID) -> Bool {
    nodes.contains(node) || patches[node] != nil || removed.contains(node)
      || readmitted.contains(node) || withheld.contains(node) || access.contains(node)
  }

  /// Whether it concerns nobody but `node` itself.
  package func concernsOnly(_ node: NodeID) -> Bool {
    nodes.isEmpty && removed.isEmpty && withheld.isEmpty && users.isEmpty && !relayMap && !names
      && access.isEmpty && !policy
      && patches.keys.allSatisfy { $0 == node }
  }
}
