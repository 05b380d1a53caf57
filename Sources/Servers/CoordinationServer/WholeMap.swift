// SPDX-License-Identifier: Apache-2.0

internal import Bytes
internal import Compression
internal import ControlProtocol
internal import Coordination
internal import JSON

/// A whole map on its way to one machine: parts of its own, and parts that others get too.
struct WholeMap: Sendable {
  enum Part: Sendable {
    /// Encoded once, for many.
    case shared(Task<[UInt8], Never>)
    /// For this machine only.
    case own([Node])
  }

  /// How much is handed to a connection at once; what comes later is not held for it alone.
  static let pieceBytes = 64 << 10

  /// Everything but the peers; the peers too when there is no first.
  let base: MapResponse
  let first: Node?
  let parts: [Part]
  let compressed: Bool

  /// A map that is not taken apart.
  init(_ response: MapResponse, compressed: Bool) {
    (base, first, parts, self.compressed) = (response, nil, [], compressed)
  }

  init(base: MapResponse, first: Node, parts: [Part], compressed: Bool) {
    (self.base, self.first, self.parts, self.compressed) = (base, first, parts, compressed)
  }

  /// The message in pieces, its length first; worked out away from any actor.
  ///
  /// Compressed parts are frames of their own: a reader takes several as one (RFC 8878 §3).
  @concurrent
  func encoded() async -> [[UInt8]] {
    guard let first else { return [MapFrame.encode(base, compressed: compressed)] }
    var head = base.json
    head.removeLast()
    head += Array(#","Peers":["#.utf8) + first.json
    var pieces = [Self.piece(head, compressed)]
    for part in parts {
      switch part {
      case .shared(let task): pieces.append(await task.value)
      case .own(let peers): pieces.append(Self.encode(peers, compressed: compressed))
      }
    }
    pieces.append(Self.piece(Array("]}".utf8), compressed))
    let count = pieces.reduce(0) { $0 + $1.count }
    pieces.insert((0..<4).map { UInt8(truncatingIfNeeded: count >> (8 * $0)) }, at: 0)
    return pieces
  }

  /// Peers that follow another one: each with a comma before it.
  static func encode(_ peers: [Node], compressed: Bool) -> [UInt8] {
    guard !peers.isEmpty else { return [] }
    var writer = JSONWriter()
    writer.array { for peer in peers { peer.write(to: &$0) } }
    var text = writer.bytes
    text[0] = UInt8(ascii: ",")
    text.removeLast()
    return piece(text, compressed)
  }

  private static func piece(_ text: [UInt8], _ compressed: Bool) -> [UInt8] {
    compressed ? Zstandard.compress(text) : text
  }

  /// Hands pieces on, many at once where they are small.
  static func write(_ pieces: [[UInt8]], _ write: ([UInt8]) async throws -> Void) async throws {
    var batch: [UInt8] = []
    for piece in pieces {
      if !batch.isEmpty, batch.count + piece.count > pieceBytes {
        try await write(batch)
        batch = []
      }
      batch += piece
    }
    if !batch.isEmpty { try await write(batch) }
  }
}

/// The runs of peers that are encoded already.
///
/// It follows the change log as a map stream does: what has changed since is forgotten.
struct PeerRunCache {
  /// How many runs are kept; when there are more, all are forgotten.
  static let maximumRuns = 2048

  private struct Key: Hashable {
    var run: PeerRun
    var compressed: Bool
  }

  private var runs: [Int64: [Key: Task<[UInt8], Never>]] = [:]
  private var profiles: [Audience?: [UserProfile]] = [:]
  private var cursor: Int64 = 0
  private var count = 0
  /// How many runs were encoded.
  private(set) var encoded = 0
  /// How many runs were there already.
  private(set) var reused = 0

  /// Forgets what the log says has changed.
  mutating func follow(_ log: ChangeLog) {
    guard cursor != log.head else { return }
    let since = cursor <= log.head ? log.changes(after: cursor, through: log.head) : nil
    cursor = log.head
    guard let since, count <= Self.maximumRuns else {
      (runs, profiles, count) = ([:], [:], 0)
      return
    }
    for change in since {
      switch change {
      case .patch(let id, _): forget(id)
      case .node(let id), .removed(let id), .readmitted(let id), .withheld(let id):
        forget(id)
        profiles = [:]
      case .user: profiles = [:]
      case .relayMap, .names, .access, .policy: break
      }
    }
  }

  private mutating func forget(_ id: NodeID) {
    count -= runs.removeValue(forKey: PeerRun.place(of: id))?.count ?? 0
  }

  /// A whole map, of runs that are known and runs that now become known.
  mutating func map(
    for receiver: NodeID,
    from builder: MapBuilder,
    compressed: Bool,
    at now: Moment
  ) -> WholeMap? {
    let audience = builder.audience(of: receiver)
    guard let plan = builder.plan(for: receiver, knowing: profiles[audience], at: now) else {
      return builder.full(for: receiver, at: now).map { WholeMap($0, compressed: compressed) }
    }
    profiles[audience] = plan.base.userProfiles
    let parts = plan.runs.map { run -> WholeMap.Part in
      if run.isOwn { return .own(builder.peers(of: run, for: receiver)) }
      let key = Key(run: run, compressed: compressed)
      if let known = runs[run.place]?[key] {
        reused += 1
        return .shared(known)
      }
      let peers = builder.peers(of: run, for: receiver)
      let task = Task { await Self.encode(peers, compressed) }
      runs[run.place, default: [:]][key] = task
      encoded += 1
      count += 1
      return .shared(task)
    }
    return WholeMap(base: plan.base, first: plan.first, parts: parts, compressed: compressed)
  }

  @concurrent
  private static func encode(_ peers: [Node], _ compressed: Bool) async -> [UInt8] {
    WholeMap.encode(peers, compressed: compressed)
  }
}
