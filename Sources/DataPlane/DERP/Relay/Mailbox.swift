// SPDX-License-Identifier: Apache-2.0

import Keys
import Timing

/// What waits for one connection; everything in it is bounded.
///
/// What the relay itself has to say comes first; discovery messages and other packets take turns.
struct Mailbox: Sendable {
  /// How many departures may wait to be told to one client.
  static let maximumDepartures = 1024

  /// What a relay of the mesh, which watches, is told.
  enum Notice: Sendable {
    case present(RelayClient)
    case gone(NodeKey)
  }

  private var disco = RelayQueue()
  private var bulk = RelayQueue()
  private var isBulkNext = false
  private var departures: [(key: NodeKey, reason: PeerGoneReason)] = []
  private var notices: [Notice] = []
  private var pong: UInt64?
  private var health: String?
  private var isKeepAliveDue = false
  /// Whether the connection was told and has not taken everything yet.
  private var isAnnounced = false
  private var keepAliveAt: Instant
  /// Limits how often it is told that somebody is not here.
  private var notHere: TokenBucket

  init(keepAliveAt: Instant, at now: Instant) {
    self.keepAliveAt = keepAliveAt
    notHere = TokenBucket(perSecond: 1, burst: 3, at: now)
  }

  private var hasOutput: Bool {
    !disco.isEmpty || !bulk.isEmpty || !departures.isEmpty || pong != nil || isKeepAliveDue
      || !notices.isEmpty || health != nil
  }

  // MARK: Filling

  mutating func append(
    _ entry: RelayQueue.Entry,
    isDisco: Bool,
    for client: RelayClient,
    _ effects: inout RelayEffects
  ) {
    let dropped = isDisco ? disco.append(entry) : bulk.append(entry)
    if dropped.packets > 0 { effects.counts.dropped.note(.queueFull, isDisco, dropped) }
    announce(client, &effects)
  }

  mutating func tellGone(
    _ key: NodeKey,
    _ reason: PeerGoneReason,
    to client: RelayClient,
    at now: Instant,
    _ effects: inout RelayEffects
  ) {
    if reason == .notHere, !notHere.admit(at: now) { return }
    guard departures.count < Self.maximumDepartures else {
      effects.counts.forgottenDepartures += 1
      return
    }
    departures.append((key, reason))
    if reason == .notHere {
      effects.counts.peerGoneNotHere += 1
    } else {
      effects.counts.peerGoneDisconnected += 1
    }
    announce(client, &effects)
  }

  /// - Returns: Whether there was room for it.
  mutating func notify(
    _ notice: Notice,
    atMost maximum: Int,
    to client: RelayClient,
    _ effects: inout RelayEffects
  ) -> Bool {
    guard notices.count < maximum else { return false }
    notices.append(notice)
    announce(client, &effects)
    return true
  }

  mutating func answerPing(_ token: UInt64, to client: RelayClient, _ effects: inout RelayEffects) {
    guard pong == nil else {
      effects.counts.ignoredPings += 1
      return
    }
    pong = token
    announce(client, &effects)
  }

  mutating func tellHealth(_ text: String, to client: RelayClient, _ effects: inout RelayEffects) {
    health = text
    announce(client, &effects)
  }

  /// Gives a sign of life when it is due; the next is due at what `next` says.
  mutating func handleTimeouts(
    at now: Instant,
    to client: RelayClient,
    _ effects: inout RelayEffects,
    next: () -> Instant
  ) {
    guard keepAliveAt <= now else { return }
    keepAliveAt = next()
    isKeepAliveDue = true
    announce(client, &effects)
  }

  private mutating func announce(_ client: RelayClient, _ effects: inout RelayEffects) {
    guard !isAnnounced else { return }
    isAnnounced = true
    effects.ready.append(client.connection)
  }

  // MARK: Emptying

  /// Appends what waits to `output`, until that has `limit` bytes or more.
  ///
  /// - Returns: Whether more waits. If not, the connection is told again when something does.
  mutating func takeOutput(
    upTo limit: Int,
    at now: Instant,
    into output: inout [UInt8],
    _ counts: inout RelayCounters
  ) -> Bool {
    takeOwnFrames(upTo: limit, into: &output, &counts)
    while output.count < limit, let entry = nextPacket() {
      counts.packetsSent += 1
      counts.bytesSent += entry.packet.count
      counts.queueDelay.observe(now - entry.arrival)
      Frame.writePacket(.receivePacket, entry.source, entry.packet[...], to: &output)
    }
    let hasMore = hasOutput
    if !hasMore { isAnnounced = false }
    return hasMore
  }

  private mutating func takeOwnFrames(
    upTo limit: Int,
    into output: inout [UInt8],
    _ counts: inout RelayCounters
  ) {
    if let text = health { Frame.health(text).write(to: &output) }
    health = nil
    for (key, reason) in departures { Frame.peerGone(key, reason).write(to: &output) }
    departures.removeAll()
    if let token = pong {
      Frame.pong(token).write(to: &output)
      counts.pongs += 1
    }
    pong = nil
    if isKeepAliveDue { Frame.keepAlive.write(to: &output) }
    isKeepAliveDue = false
    takeNotices(upTo: limit, into: &output)
  }

  private mutating func takeNotices(upTo limit: Int, into output: inout [UInt8]) {
    guard !notices.isEmpty else { return }
    var taken = 0
    while taken < notices.count, output.count < limit {
      switch notices[taken] {
      case .present(let client):
        Frame.peerPresent(client.key, client.endpoint, flags: client.flags).write(to: &output)
      case .gone(let key): Frame.peerGone(key, .disconnected).write(to: &output)
      }
      taken += 1
    }
    if taken == notices.count { notices = [] } else { notices.removeFirst(taken) }
  }

  private mutating func nextPacket() -> RelayQueue.Entry? {
    let isBulkFirst = isBulkNext
    isBulkNext = !isBulkNext
    if isBulkFirst { return bulk.popFirst() ?? disco.popFirst() }
    return disco.popFirst() ?? bulk.popFirst()
  }

  /// Counts what is left as lost.
  mutating func close(_ counts: inout RelayCounters) {
    counts.dropped.note(.goneDisconnected, true, disco.removeAll())
    counts.dropped.note(.goneDisconnected, false, bulk.removeAll())
  }
}
