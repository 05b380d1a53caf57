// SPDX-License-Identifier: Apache-2.0

public import Cryptography
public import Keys
import Synchronization
public import Timing

/// Who is at a relay, and how others are reached: the table that all connections share.
///
/// Knows no sockets. One lock guards the table; it is taken when clients come and go, and for a
/// packet only where `PeerLookupCache` does not know its receiver. What waits for a client stands
/// in `RelayPeers` and has a lock of its own. Locks are taken in that order, and nobody outside is
/// called with one held: what follows from a call stands in `RelayEffects`, which `settle` performs.
public final class Switchboard: Sendable {
  /// How often every client gets a sign of life, at least.
  public static let keepAliveInterval = Duration.seconds(60)
  /// How many changes may wait to be told to a relay that watches; besides two for each client.
  static let maximumNotices = 16_384
  /// For how many keys at other relays it is remembered who heard from them.
  static let maximumRemotePeers = 16_384
  /// How many keys the other relays of the mesh may bring.
  static let maximumForwardedKeys = 1 << 20
  /// How long after its arrival a client's change of home is no move.
  static let settlingTime = Duration.seconds(5)
  private static let tallies = 16

  /// How a packet reaches a key.
  enum Way {
    case local(RelayPeers)
    case forwarder(MeshForwarder)
    case unknown
  }

  private struct Table {
    var peers: [NodeKey: RelayPeers] = [:]
    var clients: [UInt64: RelayClient] = [:]
    var watchers: [RelayClient] = []
    var forwarders: [NodeKey: [MeshForwarder]] = [:]
    /// Who heard from keys that are at other relays.
    var remote: [NodeKey: Correspondents] = [:]
    var lastID: UInt64 = 0

    /// All connections, in the order in which they came.
    var inOrder: [RelayClient] { clients.values.sorted { $0.id < $1.id } }
  }

  private final class Tally: Sendable { let counters = Mutex(RelayCounters()) }

  private let table = Mutex(Table())
  /// Spreads the signs of life.
  private let keepAlives: Mutex<Entropy>
  private let policy: RelayPeers.DuplicatePolicy
  private let tallies = (0..<Switchboard.tallies).map { _ in Tally() }

  /// A relay without clients; `entropy` spreads the signs of life.
  public init(entropy: Entropy, duplicates policy: RelayPeers.DuplicatePolicy = .lastWriter) {
    self.policy = policy
    keepAlives = Mutex(entropy)
  }

  // MARK: Facts

  /// What was done so far.
  public var counters: RelayCounters {
    var sum = RelayCounters()
    for tally in tallies { sum += tally.counters.withLock { $0 } }
    sum.clients = table.withLock { $0.peers.count }
    return sum
  }

  /// Whether a client is connected here.
  public func contains(_ key: NodeKey) -> Bool { table.withLock { $0.peers[key] != nil } }

  /// Whether packets for a client have a way, here or over another relay.
  public func reaches(_ key: NodeKey) -> Bool {
    table.withLock { $0.peers[key] != nil || $0.forwarders[key] != nil }
  }

  /// Every connection of a client, in the order in which they came.
  public var clients: [RelayClient] { table.withLock(\.inOrder) }

  /// How things stand.
  public var population: RelayPopulation {
    table.withLock { table in
      var population = RelayPopulation()
      population.connections = table.clients.count
      population.localKeys = table.peers.count
      population.remoteKeys = table.forwarders.keys.count { table.peers[$0] == nil }
      population.watchers = table.watchers.count
      for client in table.clients.values {
        population.versions[client.version, default: 0] += 1
        if client.flags & 8 != 0 { population.notIdeal += 1 }
        if client.isContended.load(ordering: .relaxed) {
          population.duplicateConnections += 1
          population.duplicateKeys.insert(client.key)
        }
      }
      return population
    }
  }

  /// Adds what was done, and tells the connections; called without locks held.
  public func settle(_ effects: inout RelayEffects) {
    add(effects.counts)
    let (ready, close) = (effects.ready, effects.close)
    effects.counts = RelayCounters()
    effects.ready.removeAll(keepingCapacity: true)
    effects.close.removeAll(keepingCapacity: true)
    for (connection, reason) in close { connection.end(because: reason) }
    for connection in ready { connection.outputWaits() }
  }

  /// Adds what was done.
  public func add(_ counts: RelayCounters, from client: RelayClient? = nil) {
    let tally = tallies[Int(truncatingIfNeeded: client?.id ?? 0) & (Self.tallies - 1)]
    tally.counters.withLock { $0 += counts }
  }

  // MARK: Coming and going

  /// Takes an admitted client in.
  public func add(
    _ introduction: RelayClient.Introduction,
    _ connection: any RelayConnection,
    at now: Instant,
    into effects: inout RelayEffects
  ) -> RelayClient {
    table.withLock { table in
      table.lastID += 1
      let known = table.peers[introduction.key]
      let peers = known ?? RelayPeers(introduction.key, id: table.lastID, policy: policy)
      let client = RelayClient(
        introduction,
        id: table.lastID,
        peers: peers,
        connection: connection,
        at: now
      )
      let due = keepAlives.withLock { Self.nextKeepAlive(after: now, &$0) }
      peers.add(client, Mailbox(keepAliveAt: due, at: now), &effects)
      table.peers[introduction.key] = peers
      table.clients[client.id] = client
      effects.counts.accepts += 1
      if known != nil { effects.counts.duplicates += 1 }
      notify(.present(client), in: table, &effects)
      return client
    }
  }

  /// Forgets a connection that has ended, and tells those who heard from its key if it was the last.
  func remove(
    _ client: RelayClient,
    _ correspondents: Correspondents,
    at now: Instant,
    into effects: inout RelayEffects
  ) {
    let told: Correspondents? = table.withLock { table in
      table.clients[client.id] = nil
      table.watchers.removeAll { $0 === client }
      guard case .last(let all) = client.peers.remove(client, correspondents, &effects) else {
        return nil
      }
      if table.peers[client.key] === client.peers { table.peers[client.key] = nil }
      notify(.gone(client.key), in: table, &effects)
      guard table.forwarders[client.key] != nil else { return all }
      // Another relay has the key: it tells when that is over.
      var remote = table.remote[client.key] ?? Correspondents()
      remote.merge(all, &effects.counts)
      table.remote[client.key] = remote
      return nil
    }
    told?.tellGone(client.key, at: now, &effects)
  }

  /// Ends the connections of a client.
  public func closeConnections(of key: NodeKey, into effects: inout RelayEffects) {
    let clients = table.withLock { $0.peers[key] }?.clients ?? []
    for client in clients { effects.close.append((client.connection, .asked)) }
  }

  private func notify(
    _ notice: Mailbox.Notice,
    in table: borrowing Table,
    _ effects: inout RelayEffects
  ) {
    for watcher in table.watchers { tell(watcher, notice, in: table, &effects) }
  }

  private func tell(
    _ watcher: RelayClient,
    _ notice: Mailbox.Notice,
    in table: borrowing Table,
    _ effects: inout RelayEffects
  ) {
    let maximum = Self.maximumNotices + 2 * table.clients.count
    let hasRoom = watcher.peers.withMailbox(of: watcher) { mailbox in
      mailbox.notify(notice, atMost: maximum, to: watcher, &effects)
    }
    if hasRoom == false { effects.close.append((watcher.connection, .behind)) }
  }

  // MARK: Mesh

  /// From now on tells a relay of the mesh of everybody, beginning with those who are here.
  func watch(_ watcher: RelayClient, into effects: inout RelayEffects) {
    table.withLock { table in
      guard table.clients[watcher.id] != nil,
        !table.watchers.contains(where: { $0 === watcher })
      else { return }
      table.watchers.append(watcher)
      for client in table.inOrder { tell(watcher, .present(client), in: table, &effects) }
    }
  }

  /// Takes note of a connection to another relay of the mesh.
  public func addForwarder(_ connection: any RelayConnection) -> MeshForwarder {
    table.withLock { table in
      table.lastID += 1
      return MeshForwarder(id: table.lastID, connection: connection)
    }
  }

  /// Takes note that a client is at the relay at the other end.
  public func add(_ key: NodeKey, at forwarder: MeshForwarder, into effects: inout RelayEffects) {
    table.withLock { table in
      var known = table.forwarders[key] ?? []
      guard !known.contains(where: { $0 === forwarder }),
        !known.isEmpty || table.forwarders.count < Self.maximumForwardedKeys
      else { return }
      known.append(forwarder)
      known.sort { $0.id < $1.id }
      if known.count == 2 { effects.counts.severalForwarders += 1 }
      table.forwarders[key] = known
    }
  }

  /// Takes note that a client has left the relay at the other end, and tells those who heard from it
  /// if it is nowhere else.
  public func remove(
    _ key: NodeKey,
    at forwarder: MeshForwarder,
    now: Instant,
    into effects: inout RelayEffects
  ) {
    let told = table.withLock { Self.remove(key, forwarder, &$0) }
    told?.tellGone(key, at: now, &effects)
  }

  /// Takes note that the connection to another relay has ended.
  public func remove(
    _ forwarder: MeshForwarder,
    at now: Instant,
    into effects: inout RelayEffects
  ) {
    forwarder.close(&effects)
    let told = table.withLock { table in
      let keys = table.forwarders.filter { $0.value.contains { $0 === forwarder } }.keys.sorted()
      return keys.compactMap { key in
        Self.remove(key, forwarder, &table).map { (key, $0) }
      }
    }
    for (key, correspondents) in told { correspondents.tellGone(key, at: now, &effects) }
  }

  /// - Returns: Who is to be told that the key is nowhere any more.
  private static func remove(
    _ key: NodeKey,
    _ forwarder: MeshForwarder,
    _ table: inout Table
  ) -> Correspondents? {
    guard var known = table.forwarders[key] else { return nil }
    known.removeAll { $0 === forwarder }
    table.forwarders[key] = known.isEmpty ? nil : known
    guard known.isEmpty, table.peers[key] == nil else { return nil }
    defer { table.remote[key] = nil }
    return table.remote[key]
  }

  /// Remembers that a client heard from a key that is at another relay.
  func remember(_ peers: RelayPeers, heardFrom key: NodeKey, _ effects: inout RelayEffects) {
    table.withLock { table in
      guard table.remote[key] != nil || table.remote.count < Self.maximumRemotePeers else {
        effects.counts.forgottenDepartures += 1
        return
      }
      table.remote[key, default: Correspondents()].insert(peers, &effects.counts)
    }
  }

  // MARK: Looking up

  /// How packets for `key` reach it; clients of our own come first.
  func way(to key: NodeKey) -> Way {
    table.withLock { table in
      if let peers = table.peers[key] { return .local(peers) }
      if let forwarder = table.forwarders[key]?.first { return .forwarder(forwarder) }
      return .unknown
    }
  }

  /// The peers of a key that is connected here; for those who measure what that costs.
  public func peers(of key: NodeKey) -> RelayPeers? { table.withLock { $0.peers[key] } }

  // MARK: Time

  private static func nextKeepAlive(after now: Instant, _ entropy: inout Entropy) -> Instant {
    now + keepAliveInterval + .milliseconds(Int.random(in: 0..<5000, using: &entropy))
  }

  /// Gives signs of life to clients whose turn it is; call about every second.
  public func handleTimeouts(at now: Instant, into effects: inout RelayEffects) {
    for client in clients {
      client.peers.withMailbox(of: client) { mailbox in
        mailbox.handleTimeouts(at: now, to: client, &effects) {
          keepAlives.withLock { Self.nextKeepAlive(after: now, &$0) }
        }
      }
    }
  }
}

/// Who is at a relay now.
public struct RelayPopulation: Hashable, Sendable {
  /// Connections of clients.
  public var connections = 0
  /// Keys that are connected here.
  public var localKeys = 0
  /// Keys that are at other relays of the mesh only.
  public var remoteKeys = 0
  /// Relays of the mesh that are told of everybody.
  public var watchers = 0
  /// Connections of clients that would rather be elsewhere.
  public var notIdeal = 0
  /// Connections that share their key with others.
  public var duplicateConnections = 0
  /// The keys that they share.
  public var duplicateKeys: Set<NodeKey> = []
  /// Connections by the version of the protocol that they speak.
  public var versions: [Int: Int] = [:]

  init() {}
}
