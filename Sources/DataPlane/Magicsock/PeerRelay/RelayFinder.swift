// SPDX-License-Identifier: Apache-2.0

import Addressing
import Cryptography
import Disco
import Keys
import Timing

/// What is under way to reach peers through peer relays: requests for a network, and handshakes.
///
/// Few at any time: a path is looked for while there is no direct one, and found or given up within
/// seconds. It decides who is who and what is due; `MagicSocket+PeerRelay.swift` speaks.
struct RelayFinder: Sendable {
  /// A request to a relay for a network.
  struct Request: Sendable {
    var peer: PeerID
    var server: PeerRelayCandidate
    var clients: RelayAllocation.ClientKeys
    var generation: UInt32
    var deadline: Instant
    /// When it is repeated; nil once it was.
    var repeatAt: Instant?
  }

  /// The way into a network.
  struct Handshake: Sendable {
    var peer: PeerID
    var peerKey: DiscoKey
    var allocation: RelayAllocation
    var generation: UInt32
    var deadline: Instant
    /// When what may have been lost is said again; nil once it was said often enough.
    var repeatAt: Instant?
    var repeats = 0
    /// The challenge that was answered, and where.
    var answered: (endpoint: Endpoint, challenge: [UInt8])?
    var pings: [(id: PingID, sentAt: Instant)] = []

    var network: UInt32 { allocation.virtualNetwork }
  }

  private(set) var requests: [Request] = []
  var handshakes: [Handshake] = []
  private var generation: UInt32

  init(using entropy: inout Entropy) {
    // Several finders of one node must not take each other's answers for theirs.
    generation = UInt32(truncatingIfNeeded: entropy.next() as UInt64)
  }

  /// When something is due.
  var nextTimeout: Instant {
    let asked = requests.lazy.map { min($0.deadline, $0.repeatAt ?? $0.deadline) }.min()
    let met = handshakes.lazy.map { min($0.deadline, $0.repeatAt ?? $0.deadline) }.min()
    return min(asked ?? .distantFuture, met ?? .distantFuture)
  }

  private mutating func nextGeneration() -> UInt32 {
    generation = generation == .max ? 1 : generation + 1
    return generation
  }

  // MARK: Requests

  /// Begins to ask; nil when enough is asked already.
  mutating func ask(
    _ server: PeerRelayCandidate,
    for peer: PeerID,
    _ clients: RelayAllocation.ClientKeys,
    at now: Instant
  ) -> Request? {
    guard requests.count < PathLimits.relayRequests,
      !requests.contains(where: { $0.peer == peer && $0.server.nodeKey == server.nodeKey })
    else { return nil }
    let request = Request(
      peer: peer,
      server: server,
      clients: clients,
      generation: nextGeneration(),
      deadline: now + PathTiming.relayRequest,
      repeatAt: now + PathTiming.relayRequestRepeat
    )
    requests.append(request)
    return request
  }

  /// The request that an answer is to.
  mutating func answered(
    _ generation: UInt32,
    by server: NodeKey,
    _ allocation: RelayAllocation
  ) -> Request? {
    guard
      let index = requests.firstIndex(where: {
        $0.generation == generation && $0.server.nodeKey == server
          && $0.clients == allocation.clientKeys.sorted
      })
    else { return nil }
    return requests.remove(at: index)
  }

  /// The requests that are to be repeated now; gives up those that got no answer.
  mutating func dueRequests(at now: Instant) -> [Request] {
    requests.removeAll { $0.deadline <= now }
    var due: [Request] = []
    for index in requests.indices where requests[index].repeatAt.map({ $0 <= now }) == true {
      requests[index].repeatAt = nil
      due.append(requests[index])
    }
    return due
  }

  // MARK: Handshakes

  /// Begins to meet a peer in a network; false when that is under way or nothing newer.
  mutating func begin(
    _ allocation: RelayAllocation,
    with peer: PeerID,
    _ peerKey: DiscoKey,
    at now: Instant
  ) -> Bool {
    let same: (Handshake) -> Bool = {
      $0.allocation.serverKey == allocation.serverKey
        && ($0.peer == peer || $0.network == allocation.virtualNetwork)
    }
    if handshakes.contains(where: { same($0) && $0.allocation.lamportID >= allocation.lamportID }) {
      return false
    }
    handshakes.removeAll(where: same)
    guard handshakes.count < PathLimits.relayHandshakes else { return false }
    let patience = min(
      PathTiming.relayHandshake,
      .nanoseconds(Int64(clamping: allocation.bindNanoseconds))
    )
    handshakes.append(
      Handshake(
        peer: peer,
        peerKey: peerKey,
        allocation: allocation,
        generation: nextGeneration(),
        deadline: now + patience,
        repeatAt: now + PathTiming.relayRepeat
      )
    )
    return true
  }

  /// The place of the handshake with a relay.
  func handshake(with server: DiscoKey, in network: UInt32) -> Int? {
    handshakes.firstIndex { $0.allocation.serverKey == server && $0.network == network }
  }

  /// The place of the handshake to meet a peer.
  func handshake(toMeet peer: DiscoKey, in network: UInt32) -> Int? {
    handshakes.firstIndex { $0.peerKey == peer && $0.network == network }
  }

  /// Takes out what has taken too long.
  mutating func expire(at now: Instant) -> [Handshake] {
    let over = handshakes.filter { $0.deadline <= now }
    if !over.isEmpty { handshakes.removeAll { $0.deadline <= now } }
    return over
  }

  /// Which handshakes are to say again what may have been lost.
  mutating func dueHandshakes(at now: Instant) -> [Int] {
    handshakes.indices.filter { index in
      guard let due = handshakes[index].repeatAt, due <= now else { return false }
      handshakes[index].repeats += 1
      let wait = PathTiming.relayRepeat * (1 << handshakes[index].repeats)
      let isLast = handshakes[index].repeats >= PathLimits.relayRepeats
      handshakes[index].repeatAt = isLast ? nil : now + wait
      return true
    }
  }

  /// Forgets everything about a peer.
  mutating func forget(_ peer: PeerID) {
    requests.removeAll { $0.peer == peer }
    handshakes.removeAll { $0.peer == peer }
  }

  mutating func removeAll() {
    requests.removeAll()
    handshakes.removeAll()
  }
}
