// SPDX-License-Identifier: Apache-2.0

public import Cryptography
public import Keys
public import Timing

/// The heart of a relay: who is here, and what waits for whom.
///
/// Knows no sockets. The driver tells of clients that come and go and of the frames they send; the
/// switch tells which clients have something to be sent, and the driver fetches it with `takeOutput`
/// as fast as that client's connection takes it. Everything that waits is bounded for each client.
public struct RelaySwitch: Sendable {
  /// A connection of a client.
  public struct ClientID: Hashable, Sendable {
    fileprivate let slot: Int
    fileprivate let generation: Int
  }

  /// What the switch asks of its driver.
  ///
  /// The driver owns it, reuses it and empties it.
  public struct Effects: Hashable, Sendable {
    /// Clients for whom output waits that did not wait before; told once until it is all taken.
    public var ready: [ClientID] = []
    /// Clients whose connection is to be closed; `remove` them once it is.
    public var close: [Closing] = []

    /// Nothing to do.
    public init() {}

    /// Forgets everything, keeping the room.
    public mutating func removeAll() {
      ready.removeAll(keepingCapacity: true)
      close.removeAll(keepingCapacity: true)
    }
  }

  /// A client whose connection is to be closed, and why.
  public struct Closing: Hashable, Sendable {
    /// The client.
    public let id: ClientID
    /// Why.
    public let reason: CloseReason
  }

  /// Why a client's connection is to be closed.
  public enum CloseReason: Hashable, Sendable {
    /// The same client has connected again.
    case replaced
    /// It sent a frame that is not for it to send.
    case violation
  }

  /// How often every client gets a sign of life, at least.
  public static let keepAliveInterval = Duration.seconds(60)
  /// How many clients are remembered as having heard from one client, to be told when it leaves.
  public static let maximumCorrespondents = 4096
  /// How many departures may wait to be told to one client.
  public static let maximumDepartures = 1024

  /// What was done so far.
  public var counters: RelayCounters {
    var counters = counted
    counters.clients = byKey.count
    return counters
  }

  private struct Departure {
    let key: NodeKey
    let reason: PeerGoneReason
  }

  private struct Client {
    let key: NodeKey
    let id: ClientID
    var disco = RelayQueue()
    var bulk = RelayQueue()
    var isBulkNext = false
    var departures: [Departure] = []
    var pong: UInt64?
    var isKeepAliveDue = false
    var keepAliveAt: Instant
    var isAnnounced = false
    var isHome = false
    /// Who heard from this client.
    var correspondents: Set<ClientID> = []
    var lastCorrespondent: ClientID?
    /// Limits how often it is told that somebody is not here.
    var notHere: TokenBucket

    var hasOutput: Bool {
      !disco.isEmpty || !bulk.isEmpty || !departures.isEmpty || pong != nil || isKeepAliveDue
    }
  }

  private var slots: [Client?] = []
  private var free: [Int] = []
  private var byKey: [NodeKey: ClientID] = [:]
  private var generation = 0
  private var counted = RelayCounters()
  private var entropy: Entropy

  /// A relay without clients; `entropy` spreads the signs of life.
  public init(entropy: Entropy) { self.entropy = entropy }

  // MARK: Coming and going

  /// Takes an admitted client in.
  ///
  /// An older connection of the same client is closed.
  public mutating func add(
    _ key: NodeKey,
    at now: Instant,
    into effects: inout Effects
  ) -> ClientID {
    generation += 1
    let id = ClientID(slot: free.popLast() ?? slots.count, generation: generation)
    var client = Client(
      key: key,
      id: id,
      keepAliveAt: nextKeepAlive(after: now),
      notHere: TokenBucket(perSecond: 1, burst: 3, at: now)
    )
    if let older = byKey[key] {
      client.correspondents = slots[older.slot]?.correspondents ?? []
      detach(older)
      counted.replaced += 1
      effects.close.append(Closing(id: older, reason: .replaced))
    }
    if id.slot == slots.count { slots.append(client) } else { slots[id.slot] = client }
    byKey[key] = id
    counted.accepts += 1
    return id
  }

  /// Forgets a client whose connection has ended, and tells those who heard from it.
  public mutating func remove(_ id: ClientID, at now: Instant, into effects: inout Effects) {
    guard isHere(id), let client = slots[id.slot] else { return }
    byKey[client.key] = nil
    detach(id)
    let departure = Departure(key: client.key, reason: .disconnected)
    for correspondent in client.correspondents where isHere(correspondent) {
      tell(departure, to: correspondent, &effects)
    }
  }

  /// Takes a client out of its slot; what waited for it is lost.
  private mutating func detach(_ id: ClientID) {
    if slots[id.slot]?.isHome == true { counted.homeClients -= 1 }
    let disco = slots[id.slot]?.disco.removeAll().packets ?? 0
    let bulk = slots[id.slot]?.bulk.removeAll().packets ?? 0
    counted.droppedGone += disco + bulk
    slots[id.slot] = nil
    free.append(id.slot)
  }

  /// Whether this very connection is known: its slot may be somebody else's by now.
  private func isHere(_ id: ClientID) -> Bool { slots[id.slot]?.id == id }

  /// Whether a client is connected.
  public func contains(_ key: NodeKey) -> Bool { byKey[key] != nil }

  // MARK: Receiving

  /// Takes a frame that a client sent.
  public mutating func receive(
    _ frame: Frame,
    from id: ClientID,
    at now: Instant,
    into effects: inout Effects
  ) {
    guard isHere(id) else { return }
    switch frame {
    case .sendPacket(let destination, let packet):
      forward(packet, from: id, to: destination, at: now, &effects)
    case .ping(let token): receivePing(token, from: id, &effects)
    case .pong: break
    case .notePreferred(let isHome): note(isHome, of: id)
    default:
      counted.violations += 1
      effects.close.append(Closing(id: id, reason: .violation))
    }
  }

  private mutating func forward(
    _ packet: [UInt8],
    from id: ClientID,
    to key: NodeKey,
    at now: Instant,
    _ effects: inout Effects
  ) {
    let isDisco = Self.isDisco(packet)
    counted.packetsReceived += 1
    counted.bytesReceived += packet.count
    if isDisco { counted.discoPacketsReceived += 1 }
    guard let source = slots[id.slot]?.key, let destination = byKey[key] else {
      counted.droppedUnknownDestination += 1
      if isDisco { tellNotHere(key, to: id, at: now, &effects) }
      return
    }
    let entry = RelayQueue.Entry(source: source, packet: packet)
    let dropped =
      isDisco
      ? slots[destination.slot]?.disco.append(entry)
      : slots[destination.slot]?.bulk.append(entry)
    counted.droppedQueueFull += dropped ?? 0
    remember(destination, of: id)
    announce(destination, &effects)
  }

  private mutating func remember(_ destination: ClientID, of id: ClientID) {
    // No copy of the client may live here: the set would be copied with it.
    guard slots[id.slot]?.lastCorrespondent != destination else { return }
    slots[id.slot]?.lastCorrespondent = destination
    if (slots[id.slot]?.correspondents.count ?? 0) >= Self.maximumCorrespondents {
      // Those who left stay in the set until it is full.
      let known = slots[id.slot]?.correspondents ?? []
      let present = Set<ClientID>(known.filter { isHere($0) })
      slots[id.slot]?.correspondents = present
      guard present.count < Self.maximumCorrespondents else {
        counted.forgottenDepartures += 1
        return
      }
    }
    slots[id.slot]?.correspondents.insert(destination)
  }

  private mutating func tellNotHere(
    _ key: NodeKey,
    to id: ClientID,
    at now: Instant,
    _ effects: inout Effects
  ) {
    guard slots[id.slot]?.notHere.admit(at: now) == true else { return }
    tell(Departure(key: key, reason: .notHere), to: id, &effects)
  }

  private mutating func tell(
    _ departure: Departure,
    to id: ClientID,
    _ effects: inout Effects
  ) {
    guard let waiting = slots[id.slot]?.departures.count, waiting < Self.maximumDepartures else {
      counted.forgottenDepartures += 1
      return
    }
    slots[id.slot]?.departures.append(departure)
    if departure.reason == .notHere {
      counted.peerGoneNotHere += 1
    } else {
      counted.peerGoneDisconnected += 1
    }
    announce(id, &effects)
  }

  private mutating func receivePing(
    _ token: UInt64,
    from id: ClientID,
    _ effects: inout Effects
  ) {
    counted.pings += 1
    guard slots[id.slot]?.pong == nil else {
      counted.ignoredPings += 1
      return
    }
    slots[id.slot]?.pong = token
    announce(id, &effects)
  }

  private mutating func note(_ isHome: Bool, of id: ClientID) {
    guard slots[id.slot]?.isHome != isHome else { return }
    slots[id.slot]?.isHome = isHome
    counted.homeClients += isHome ? 1 : -1
  }

  /// Whether a packet begins like a discovery message: six magic bytes.
  static func isDisco(_ packet: [UInt8]) -> Bool {
    packet.count >= 62 && packet.starts(with: [0x54, 0x53, 0xF0, 0x9F, 0x92, 0xAC])
  }

  // MARK: Sending

  private mutating func announce(_ id: ClientID, _ effects: inout Effects) {
    guard slots[id.slot]?.isAnnounced == false else { return }
    slots[id.slot]?.isAnnounced = true
    effects.ready.append(id)
  }

  /// Appends what waits for a client to `output`, until that has `limit` bytes or more.
  ///
  /// What the relay itself has to say comes first; discovery messages and other packets take turns.
  ///
  /// - Returns: Whether more waits. If not, the client is announced again when something does.
  public mutating func takeOutput(
    of id: ClientID,
    upTo limit: Int,
    into output: inout [UInt8]
  ) -> Bool {
    guard isHere(id) else { return false }
    takeOwnFrames(of: id.slot, into: &output)
    while output.count < limit, let entry = nextPacket(of: id.slot) {
      counted.packetsSent += 1
      counted.bytesSent += entry.packet.count
      Frame.writePacket(.receivePacket, entry.source, entry.packet[...], to: &output)
    }
    let hasMore = slots[id.slot]?.hasOutput == true
    if !hasMore { slots[id.slot]?.isAnnounced = false }
    return hasMore
  }

  private mutating func takeOwnFrames(of slot: Int, into output: inout [UInt8]) {
    for departure in slots[slot]?.departures ?? [] {
      Frame.peerGone(departure.key, departure.reason).write(to: &output)
    }
    slots[slot]?.departures.removeAll()
    if let token = slots[slot]?.pong { Frame.pong(token).write(to: &output) }
    slots[slot]?.pong = nil
    if slots[slot]?.isKeepAliveDue == true { Frame.keepAlive.write(to: &output) }
    slots[slot]?.isKeepAliveDue = false
  }

  private mutating func nextPacket(of slot: Int) -> RelayQueue.Entry? {
    guard let isBulkNext = slots[slot]?.isBulkNext else { return nil }
    slots[slot]?.isBulkNext = !isBulkNext
    if isBulkNext { return slots[slot]?.bulk.popFirst() ?? slots[slot]?.disco.popFirst() }
    return slots[slot]?.disco.popFirst() ?? slots[slot]?.bulk.popFirst()
  }

  // MARK: Time

  private mutating func nextKeepAlive(after now: Instant) -> Instant {
    now + Self.keepAliveInterval + .milliseconds(Int.random(in: 0..<5000, using: &entropy))
  }

  /// Gives signs of life to clients whose turn it is; call about every second.
  public mutating func handleTimeouts(at now: Instant, into effects: inout Effects) {
    for slot in slots.indices {
      guard let due = slots[slot]?.keepAliveAt, due <= now, let id = slots[slot]?.id else {
        continue
      }
      let next = nextKeepAlive(after: now)
      slots[slot]?.keepAliveAt = next
      slots[slot]?.isKeepAliveDue = true
      announce(id, &effects)
    }
  }
}
