// SPDX-License-Identifier: Apache-2.0

public import Keys
public import Synchronization
import Timing

/// The connections of one key at this relay: usually one, several while a client moves or is copied.
///
/// Lives from the first connection of a key to the last, and is then retired for good. The lock is
/// its own: who sends to different keys does not meet here.
public final class RelayPeers: Sendable {
  /// Which of several connections of one key gets the packets.
  public enum DuplicatePolicy: String, Hashable, Sendable, CaseIterable {
    /// The newest one, or whichever of them spoke last.
    case lastWriter = "last-writer"
    /// The newest one, until two of them speak in turns: then none of those.
    case disableFighters = "disable-fighters"
  }

  /// The most connections that one key may have; the oldest one makes room.
  static let maximumConnections = 16

  /// What became of a packet.
  enum Delivery: Hashable, Sendable {
    case accepted
    /// The last connection has gone: whoever has this key now is somebody else's peers.
    case retired
    /// The connections fight about who they are, and none gets anything.
    case nobodyActive
  }

  private struct Member {
    let client: RelayClient
    var mailbox: Mailbox
    var isDisabled = false
  }

  private struct State {
    var members: [Member] = []
    var active: Int?
    /// Who spoke, in the order of their last frame; only while there are several.
    var speakers: [UInt64] = []
    /// Who heard from connections that have gone while others of the key remained.
    var inherited = Correspondents()
    var isRetired = false
  }

  /// Whose they are.
  public let key: NodeKey
  /// Tells them from others that had the same key before or have it later.
  let id: UInt64
  @usableFromInline let live = Atomic(true)
  private let policy: DuplicatePolicy
  private let state = Mutex(State())

  init(_ key: NodeKey, id: UInt64 = 0, policy: DuplicatePolicy) {
    (self.key, self.id, self.policy) = (key, id, policy)
  }

  /// Whether a connection of the key may be here; false for good once the last has gone.
  @inlinable public var isLive: Bool { live.load(ordering: .acquiring) }

  /// How many connections there are.
  var count: Int { state.withLock { $0.members.count } }

  /// The connections.
  var clients: [RelayClient] { state.withLock { $0.members.map(\.client) } }

  // MARK: Coming and going; the caller holds the table of all keys

  /// Takes a connection in, which gets the packets from now on.
  func add(_ client: RelayClient, _ mailbox: Mailbox, _ effects: inout RelayEffects) {
    state.withLock { state in
      precondition(!state.isRetired, "a connection joined peers that were retired")
      if state.members.count == Self.maximumConnections {
        effects.close.append((state.members[0].client.connection, .tooManyDuplicates))
        drop(0, from: &state, &effects)
      }
      state.members.append(Member(client: client, mailbox: mailbox))
      state.active = state.members.count - 1
      guard state.members.count > 1 else { return }
      for member in state.members { member.client.isContended.store(true, ordering: .relaxed) }
    }
  }

  /// What follows from a connection's end.
  enum Departure {
    /// It was not here.
    case unknown
    /// Others of the key remain, so many.
    case remaining(Int)
    /// It was the last; these heard from the key.
    case last(Correspondents)
  }

  /// Forgets a connection, whose `correspondents` heard from it.
  func remove(
    _ client: RelayClient,
    _ correspondents: Correspondents,
    _ effects: inout RelayEffects
  ) -> Departure {
    state.withLock { state in
      guard let index = state.members.firstIndex(where: { $0.client === client }) else {
        // One that made room for others has gone before; who heard from it is told at the end.
        if !state.isRetired { state.inherited.merge(correspondents, &effects.counts) }
        return .unknown
      }
      drop(index, from: &state, &effects)
      guard !state.members.isEmpty else {
        state.isRetired = true
        live.store(false, ordering: .releasing)
        var all = state.inherited
        all.merge(correspondents, &effects.counts)
        state.inherited = Correspondents()
        return .last(all)
      }
      state.inherited.merge(correspondents, &effects.counts)
      return .remaining(state.members.count)
    }
  }

  private func drop(_ index: Int, from state: inout State, _ effects: inout RelayEffects) {
    let gone = state.members[index].client
    state.members[index].mailbox.close(&effects.counts)
    state.members.remove(at: index)
    state.speakers.removeAll { $0 == gone.id }
    if state.members.count == 1 { makePeace(&state, &effects) }
    guard let active = state.active else { return }
    if active == index {
      state.active = state.members.lastIndex { !$0.isDisabled }
    } else if active > index {
      state.active = active - 1
    }
  }

  /// The one that remains gets everything again.
  private func makePeace(_ state: inout State, _ effects: inout RelayEffects) {
    let client = state.members[0].client
    client.isContended.store(false, ordering: .relaxed)
    state.speakers = []
    if state.members[0].isDisabled {
      state.members[0].isDisabled = false
      state.members[0].mailbox.tellHealth("", to: client, &effects)
    }
    if state.active != nil { return }
    state.active = 0
  }

  // MARK: Delivering

  /// Puts a packet into the mailbox of whoever gets them.
  func deliver(
    _ entry: RelayQueue.Entry,
    isDisco: Bool,
    _ effects: inout RelayEffects
  ) -> Delivery {
    state.withLock { state in
      guard let active = state.active else { return state.isRetired ? .retired : .nobodyActive }
      let client = state.members[active].client
      state.members[active].mailbox.append(entry, isDisco: isDisco, for: client, &effects)
      return .accepted
    }
  }

  /// Tells whoever gets the packets that another client is gone.
  func tellGone(
    _ other: NodeKey,
    _ reason: PeerGoneReason,
    at now: Instant,
    _ effects: inout RelayEffects
  ) {
    state.withLock { state in
      guard let active = state.active else { return }
      let client = state.members[active].client
      state.members[active].mailbox.tellGone(other, reason, to: client, at: now, &effects)
    }
  }

  /// Does something with what waits for one of the connections; nil when that is not here.
  func withMailbox<Value: Sendable>(
    of client: RelayClient,
    _ body: (inout Mailbox) -> Value
  ) -> Value? {
    state.withLock { state in
      guard let index = state.members.firstIndex(where: { $0.client === client }) else {
        return nil
      }
      return body(&state.members[index].mailbox)
    }
  }

  // MARK: Duplicates

  /// Notes that one of several connections spoke, which may make it the one that gets the packets.
  func noteSpoke(_ client: RelayClient, _ effects: inout RelayEffects) {
    state.withLock { state in
      guard state.members.count > 1,
        let index = state.members.firstIndex(where: { $0.client === client })
      else { return }
      if policy == .disableFighters, isFighting(client.id, state) {
        disable([client.id, state.speakers[state.speakers.count - 1]], in: &state, &effects)
      }
      state.speakers.removeAll { $0 == client.id }
      state.speakers.append(client.id)
      if !state.members[index].isDisabled { state.active = index }
    }
  }

  /// Whether it spoke before and somebody else has since.
  private func isFighting(_ id: UInt64, _ state: State) -> Bool {
    guard let last = state.speakers.last, last != id else { return false }
    return state.speakers.contains(id)
  }

  private func disable(_ ids: [UInt64], in state: inout State, _ effects: inout RelayEffects) {
    for index in state.members.indices
    where ids.contains(state.members[index].client.id) && !state.members[index].isDisabled {
      state.members[index].isDisabled = true
      let client = state.members[index].client
      state.members[index].mailbox.tellHealth(
        "another machine uses this machine's key at the same time: neither gets packets here",
        to: client,
        &effects
      )
      if state.active == index { state.active = nil }
    }
    if state.active == nil { state.active = state.members.lastIndex { !$0.isDisabled } }
  }
}
