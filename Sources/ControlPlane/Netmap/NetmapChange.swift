// SPDX-License-Identifier: Apache-2.0

import ControlProtocol

/// What a map response has changed.
package struct NetmapChange: Sendable, Hashable {
  /// Whether this node is told differently.
  package internal(set) var selfChanged = false
  /// Peers that are new, or differ in more than when they were seen.
  package internal(set) var peersChanged: Set<Int64> = []
  /// Peers of which only `online` or `lastSeen` differ.
  package internal(set) var peersSeen: Set<Int64> = []
  /// Peers that are gone.
  package internal(set) var peersRemoved: Set<Int64> = []
  /// Whether other packets are let in.
  package internal(set) var filterChanged = false
  /// Whether there are other relays.
  package internal(set) var relaysChanged = false
  /// Whether names are resolved differently.
  package internal(set) var dnsChanged = false
  /// Whether people are new or have changed.
  package internal(set) var usersChanged = false
  /// Whether the network is named differently.
  package internal(set) var domainChanged = false
  /// Whether people should see something else.
  package internal(set) var messagesChanged = false
  /// Whether others may use the SSH server.
  package internal(set) var sshPolicyChanged = false
  /// Whether the tailnet lock stands differently.
  package internal(set) var lockChanged = false
  /// Whether the server's clock runs differently from ours, so that keys end at another time.
  package internal(set) var clockChanged = false
  /// Whether anything else that the server asks for is different.
  package internal(set) var settingsChanged = false

  /// What the server said that cannot be, at most `maximumProblems` sentences.
  package private(set) var problems: [String] = []
  /// How many sentences there would be beyond those.
  package private(set) var problemsOmitted = 0

  /// How many problems are told in words.
  package static let maximumProblems = 32

  /// No change.
  package init() {}

  /// Whether everything is as before, whatever problems there were.
  package var isEmpty: Bool {
    var rest = self
    (rest.problems, rest.problemsOmitted) = ([], 0)
    return rest == NetmapChange()
  }

  /// Whether any peer came, went or changed in more than when it was seen.
  package var peersChangedAtAll: Bool { !peersChanged.isEmpty || !peersRemoved.isEmpty }

  mutating func report(_ problem: @autoclosure () -> String) {
    if problems.count < Self.maximumProblems {
      problems.append(problem())
    } else {
      problemsOmitted += 1
    }
  }

  mutating func note(_ peer: Node, insteadOf known: Node?) {
    let wasGone = peersRemoved.remove(peer.id) != nil
    if let known, !wasGone, peer.isSame(as: known) {
      if !peersChanged.contains(peer.id) { peersSeen.insert(peer.id) }
    } else {
      peersSeen.remove(peer.id)
      peersChanged.insert(peer.id)
    }
  }

  mutating func noteRemoval(of peer: Int64) {
    peersChanged.remove(peer)
    peersSeen.remove(peer)
    peersRemoved.insert(peer)
  }
}

extension NetmapChange {
  /// Everything in which two maps differ.
  init(from old: NetworkMap, to new: NetworkMap) {
    selfChanged = old.selfNode != new.selfNode
    for (id, peer) in new.peersByID where old.peersByID[id] != peer {
      note(peer, insteadOf: old.peersByID[id])
    }
    peersRemoved = Set(old.peersByID.keys.filter { new.peersByID[$0] == nil })
    filterChanged = old.filters != new.filters || old.hasFilter != new.hasFilter
    relaysChanged = old.derpMap != new.derpMap
    dnsChanged = old.dnsConfig != new.dnsConfig
    usersChanged = old.userProfiles != new.userProfiles
    domainChanged = old.domain != new.domain
    messagesChanged = old.messages != new.messages
    sshPolicyChanged = old.sshPolicy != new.sshPolicy
    lockChanged = old.tkaInfo != new.tkaInfo
    clockChanged = old.serverClockOffset != new.serverClockOffset
    settingsChanged =
      old.collectServices != new.collectServices
      || old.domainDataPlaneAuditLogID != new.domainDataPlaneAuditLogID
      || old.controlDialPlan != new.controlDialPlan || old.clientVersion != new.clientVersion
      || old.defaultAutoUpdate != new.defaultAutoUpdate
  }

  /// Takes over the problems that were found on the way.
  mutating func takeProblems(of other: NetmapChange) {
    (problems, problemsOmitted) = (other.problems, other.problemsOmitted)
  }
}

extension Node {
  /// Whether two reports of a node differ at most in when it was seen.
  func isSame(as other: Node) -> Bool {
    var copy = other
    (copy.online, copy.lastSeen) = (online, lastSeen)
    return self == copy
  }
}
