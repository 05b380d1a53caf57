// SPDX-License-Identifier: Apache-2.0

import Keys
import Synchronization
public import Timing

/// What the reader of one admitted connection keeps: unfinished frames, where packets went, and
/// who heard from the client.
///
/// Belongs to that reader alone. Packets to known receivers touch nothing that is shared, but the
/// mailbox of the receiver.
public struct RelaySession: ~Copyable {
  /// Whom this is about.
  public let client: RelayClient
  private let switchboard: Switchboard
  private var decoder: FrameDecoder
  private var cache: PeerLookupCache
  private var correspondents = Correspondents()
  /// Whom another relay's packets went to lately, so that it need not be remembered again.
  private var heard: [(source: NodeKey, destination: NodeKey)] = []
  private var isHome = false

  private static let heardSize = 256

  /// The session of a client that was just taken in; `decoder` may hold what came with its
  /// introduction.
  public init(
    _ client: RelayClient,
    _ switchboard: Switchboard,
    decoder: FrameDecoder,
    cache limits: PeerLookupCache.Limits = PeerLookupCache.Limits()
  ) {
    (self.client, self.switchboard, self.decoder) = (client, switchboard, decoder)
    self.decoder.receiver = .relay
    cache = PeerLookupCache(limits)
  }

  /// How many receivers are remembered.
  public var cachedPeers: Int { cache.count }

  /// Forgets the client; the session is over.
  public mutating func end(at now: Instant, into effects: inout RelayEffects) {
    if isHome { effects.counts.homeClients -= 1 }
    isHome = false
    switchboard.remove(client, correspondents, at: now, into: &effects)
  }

  // MARK: Receiving

  /// Takes what the client sent, and switches the frames in it.
  ///
  /// - Parameters:
  ///   - bytes: What came; nothing to go on with what came before.
  ///   - pause: How many frames to switch before the receivers should be written to.
  ///   - now: The time.
  ///   - effects: What follows.
  /// - Returns: Whether there may be more to do: settle the effects and call again with nothing.
  /// - Throws: when what came is not frames: the connection is of no more use.
  public mutating func receive(
    _ bytes: [UInt8],
    pausingAfter pause: Int = .max,
    at now: Instant,
    into effects: inout RelayEffects
  ) throws(FrameError) -> Bool {
    if !bytes.isEmpty { decoder.append(bytes) }
    var handled = 0
    let passedOver = decoder.passedOver
    defer { effects.counts.unknownFrames += decoder.passedOver - passedOver }
    while let (kind, range) = try decoder.nextRange() {
      if client.isContended.load(ordering: .relaxed) { client.peers.noteSpoke(client, &effects) }
      guard try handle(kind, range, at: now, into: &effects) else {
        effects.counts.violations += 1
        effects.close.append((client.connection, .violation))
        return false
      }
      handled += 1
      if handled >= pause { return true }
    }
    // Thousands of clients are silent most of the time.
    decoder.releaseTaken()
    return false
  }

  /// - Returns: Whether the frame is for the client to send.
  private mutating func handle(
    _ kind: Frame.Kind,
    _ range: Range<Int>,
    at now: Instant,
    into effects: inout RelayEffects
  ) throws(FrameError) -> Bool {
    if kind == .sendPacket {
      send(range, at: now, &effects)
      return true
    }
    switch try Frame(kind, decoder.bytes(in: range)) {
    case .ping(let token):
      effects.counts.pings += 1
      cache.trim(at: now)
      client.peers.withMailbox(of: client) { $0.answerPing(token, to: client, &effects) }
    case .pong: break
    case .notePreferred(let isHome): note(isHome, at: now, &effects)
    case .forwardPacket(let source, let destination, let packet):
      guard client.isMesh else { return false }
      passOn(packet, from: source, to: destination, at: now, &effects)
    case .watchConnections:
      guard client.isMesh else { return false }
      switchboard.watch(client, into: &effects)
    case .closePeer(let key):
      guard client.isMesh else { return false }
      switchboard.closeConnections(of: key, into: &effects)
    default: return false
    }
    return true
  }

  // MARK: Packets

  private mutating func send(_ range: Range<Int>, at now: Instant, _ effects: inout RelayEffects) {
    let (key, packet) = decoder.takePacket(in: range)
    let isDisco = Self.isDisco(packet)
    let entry = RelayQueue.Entry(
      source: client.key,
      destination: key,
      packet: packet,
      arrival: now
    )
    effects.counts.packetsReceived += 1
    effects.counts.bytesReceived += packet.count
    if isDisco { effects.counts.discoPacketsReceived += 1 }
    let known = cache.withPeers(of: key, at: now) { peers in
      peers.deliver(entry, isDisco: isDisco, &effects)
    }
    switch known {
    case .accepted: break
    case .nobodyActive: effects.counts.dropped.note(.duplicateClient, isDisco, (1, packet.count))
    case .retired:
      cache.remove(key)
      sendUncached(entry, isDisco, &effects)
    case nil: sendUncached(entry, isDisco, &effects)
    }
  }

  private mutating func sendUncached(
    _ entry: RelayQueue.Entry,
    _ isDisco: Bool,
    _ effects: inout RelayEffects
  ) {
    effects.counts.peerLookupCacheMisses += 1
    let (key, loss) = (entry.destination, (1, entry.packet.count))
    switch switchboard.way(to: key) {
    case .local(let peers):
      switch peers.deliver(entry, isDisco: isDisco, &effects) {
      case .accepted:
        correspondents.insert(peers, &effects.counts)
        cache.insert(peers, at: entry.arrival)
      case .nobodyActive: effects.counts.dropped.note(.duplicateClient, isDisco, loss)
      // It left between two locks.
      case .retired: effects.counts.dropped.note(.unknownDestination, isDisco, loss)
      }
    case .forwarder(let forwarder): forwarder.forward(entry, isDisco: isDisco, &effects)
    case .unknown:
      effects.counts.dropped.note(.unknownDestination, isDisco, loss)
      if isDisco { tellNotHere(key, at: entry.arrival, &effects) }
    }
  }

  /// Delivers what another relay passed on: to clients of our own only, so that nothing goes in
  /// circles.
  private mutating func passOn(
    _ packet: [UInt8],
    from source: NodeKey,
    to key: NodeKey,
    at now: Instant,
    _ effects: inout RelayEffects
  ) {
    let isDisco = Self.isDisco(packet)
    effects.counts.forwardedIn += 1
    let entry = RelayQueue.Entry(source: source, destination: key, packet: packet, arrival: now)
    let known = cache.withPeers(of: key, at: now) { peers in
      peers.deliver(entry, isDisco: isDisco, &effects)
    }
    if known == .accepted, !mustRemember(source, key) { return }
    if known == .retired { cache.remove(key) }
    guard case .local(let peers) = switchboard.way(to: key) else {
      effects.counts.dropped.note(.unknownDestinationOnForward, isDisco, (1, packet.count))
      if isDisco { tellNotHere(key, at: now, &effects) }
      return
    }
    if known == .accepted {
      switchboard.remember(peers, heardFrom: source, &effects)
    } else if peers.deliver(entry, isDisco: isDisco, &effects) == .accepted {
      effects.counts.peerLookupCacheMisses += 1
      cache.insert(peers, at: now)
      _ = mustRemember(source, key)
      switchboard.remember(peers, heardFrom: source, &effects)
    } else {
      effects.counts.dropped.note(.duplicateClient, isDisco, (1, packet.count))
    }
  }

  /// Whether this pair did not come by lately.
  private mutating func mustRemember(_ source: NodeKey, _ destination: NodeKey) -> Bool {
    if heard.isEmpty { heard = Array(repeating: (.zero, .zero), count: Self.heardSize) }
    let mixed = (source.words.0 ^ destination.words.1) &* 0x9E37_79B9_7F4A_7C15
    let index = Int(truncatingIfNeeded: mixed >> 32) & (Self.heardSize - 1)
    guard heard[index] != (source, destination) else { return false }
    heard[index] = (source, destination)
    return true
  }

  private func tellNotHere(_ key: NodeKey, at now: Instant, _ effects: inout RelayEffects) {
    client.peers.withMailbox(of: client) { mailbox in
      mailbox.tellGone(key, .notHere, to: client, at: now, &effects)
    }
  }

  private mutating func note(_ isHome: Bool, at now: Instant, _ effects: inout RelayEffects) {
    guard self.isHome != isHome else { return }
    self.isHome = isHome
    effects.counts.homeClients += isHome ? 1 : -1
    guard now - client.arrival > Switchboard.settlingTime else { return }
    if isHome { effects.counts.homeMovesIn += 1 } else { effects.counts.homeMovesOut += 1 }
  }

  /// Whether a packet begins like a discovery message: six magic bytes.
  static func isDisco(_ packet: [UInt8]) -> Bool {
    packet.count >= 62 && packet[0] == 0x54 && packet[1] == 0x53 && packet[2] == 0xF0
      && packet[3] == 0x9F && packet[4] == 0x92 && packet[5] == 0xAC
  }
}
