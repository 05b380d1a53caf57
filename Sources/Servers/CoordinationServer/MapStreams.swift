// SPDX-License-Identifier: Apache-2.0

internal import ControlProtocol
internal import Coordination
internal import Cryptography
internal import Keys
internal import Timing

/// A map stream has to end: its node is gone, has another key, or the stream fell too far behind.
struct MapStreamEnd: Error {}

/// What a stream that was woken has to send.
enum MapMessage: Sendable {
  /// Nothing.
  case nothing
  /// That the server is alive.
  case keepAlive
  /// These bytes, framed.
  case frame([UInt8])
}

/// One node's map stream, as the connection that serves it holds it.
struct MapStream: Sendable {
  let id: Int64
  let node: NodeID
  let compressed: Bool
  /// Tells that there may be something to send; ends when the stream has to.
  let wakes: AsyncStream<Void>
}

/// Two numbers of the change log: what lies between is one message.
struct ChangeRange: Hashable, Sendable {
  var from: Int64
  var to: Int64
}

/// A message that many streams share.
struct MapRange: Hashable, Sendable {
  var numbers: ChangeRange
  var compressed: Bool
  /// Whom its readers saw until then; nil for all.
  var told: Audience?
  /// Whom its readers see from then on; nil for all.
  var sees: Audience?

  init(
    from: Int64,
    to: Int64,
    compressed: Bool,
    told: Audience? = nil,
    sees: Audience? = nil
  ) {
    numbers = ChangeRange(from: from, to: to)
    self.compressed = compressed
    self.told = told
    self.sees = sees
  }

  /// Whether a reader is itself among those it saw just if it is among those it sees.
  func isAlike(for reader: NodeID) -> Bool {
    told == sees || (told?.holds(reader) ?? true) == (sees?.holds(reader) ?? true)
  }
}

/// The map streams that are open.
///
/// Nothing is queued for a stream: it has a place in the change log, and is woken.
struct MapStreams {
  /// How many streams one node may have; the oldest gives way.
  static let maximumPerNode = 4
  /// How long a stream may take to accept one message.
  static let maximumWrite = Duration.seconds(30)

  struct Position {
    let node: NodeID
    let nodeKey: NodeKey
    var cursor: Int64
    /// The nodes that its node was last told of; nil for all.
    var told: Audience?
    var keepAlive: Instant
    var isEnded = false
    /// Since when it has been writing; none while it waits to be woken.
    var writing: Instant?
    let wake: AsyncStream<Void>.Continuation
    /// Ends the connection below, when its reader takes nothing any more.
    let abort: @Sendable () -> Void
  }

  private var positions: [Int64: Position] = [:]
  private var byNode: [NodeID: [Int64]] = [:]
  private var last: Int64 = 0
  private(set) var summaries: [ChangeRange: ChangeSummary] = [:]
  private var frames: [MapRange: Task<[UInt8], Never>] = [:]
  /// Ranges that mean nothing to those whom they do not concern themselves.
  private var silences: Set<MapRange> = []
  /// How many messages streams were given.
  private(set) var messages = 0
  /// How many streams were ended because their reader was too slow.
  private(set) var dropped = 0

  var count: Int { positions.count }
  /// How many have not handed on yet what they were given.
  var writing: Int { positions.values.count { $0.writing != nil } }

  func position(of id: Int64) -> Position? { positions[id] }

  mutating func open(
    node: NodeID,
    nodeKey: NodeKey,
    compressed: Bool,
    cursor: Int64,
    told: Audience?,
    at now: Instant,
    using entropy: inout Entropy,
    abort: @escaping @Sendable () -> Void
  ) -> MapStream {
    let (wakes, wake) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
    last += 1
    let own = byNode[node] ?? []
    if own.count >= Self.maximumPerNode, let oldest = own.first { end(oldest) }
    positions[last] = Position(
      node: node,
      nodeKey: nodeKey,
      cursor: cursor,
      told: told,
      keepAlive: Self.nextKeepAlive(after: now, using: &entropy),
      writing: now,
      wake: wake,
      abort: abort
    )
    byNode[node, default: []].append(last)
    return MapStream(id: last, node: node, compressed: compressed, wakes: wakes)
  }

  /// Forgets a stream; false when it was not known.
  mutating func close(_ id: Int64) -> Bool {
    guard let position = positions.removeValue(forKey: id) else { return false }
    position.wake.finish()
    byNode[position.node]?.removeAll { $0 == id }
    if byNode[position.node]?.isEmpty ?? false { byNode[position.node] = nil }
    return true
  }

  /// Has the streams of a node end, but those that hold its present key.
  mutating func end(of node: NodeID, except key: NodeKey?) {
    for id in byNode[node] ?? [] where positions[id]?.nodeKey != key { end(id) }
  }

  mutating func endAll() {
    for id in positions.keys { end(id) }
  }

  private mutating func end(_ id: Int64) {
    positions[id]?.isEnded = true
    positions[id]?.wake.finish()
  }

  /// Wakes the streams that have not been told of everything up to `published`.
  mutating func wake(behind published: Int64) {
    summaries = summaries.filter { $0.key.to == published }
    frames = frames.filter { $0.key.numbers.to == published }
    silences = silences.filter { $0.numbers.to == published }
    for position in positions.values where position.cursor < published { position.wake.yield() }
  }

  /// Whether a node has a stream.
  func hasStream(of node: NodeID) -> Bool {
    byNode[node]?.contains { positions[$0]?.isEnded == false } ?? false
  }

  /// Wakes the streams of a node.
  func wake(_ node: NodeID) {
    for id in byNode[node] ?? [] { positions[id]?.wake.yield() }
  }

  /// A stream is given something that is no change.
  mutating func begin(_ id: Int64, at now: Instant, using entropy: inout Entropy) {
    guard let position = positions[id] else { return }
    advance(id, to: position.cursor, at: now, using: &entropy)
  }

  /// Wakes the streams whose keep-alive is due, and ends those whose reader is too slow.
  ///
  /// - Returns: How many were too slow.
  mutating func tick(at now: Instant) -> Int {
    var slow: [Int64] = []
    for (id, position) in positions {
      if let since = position.writing, now - since > Self.maximumWrite, !position.isEnded {
        slow.append(id)
      } else if position.keepAlive <= now {
        position.wake.yield()
      }
    }
    for id in slow {
      positions[id]?.abort()
      end(id)
    }
    dropped += slow.count
    return slow.count
  }

  mutating func advance(
    _ id: Int64,
    to number: Int64,
    at now: Instant,
    using entropy: inout Entropy
  ) {
    messages += 1
    positions[id]?.cursor = number
    positions[id]?.writing = now
    positions[id]?.keepAlive = Self.nextKeepAlive(after: now, using: &entropy)
  }

  /// Its node has been told of other nodes.
  mutating func tell(_ id: Int64, of sees: Audience?) { positions[id]?.told = sees }

  /// The stream has handed on what it was given and waits again.
  mutating func didWrite(_ id: Int64) { positions[id]?.writing = nil }

  /// Whether a stream is to say that it is alive; when it is, the next time is set.
  mutating func keepAliveIsDue(
    _ id: Int64,
    at now: Instant,
    using entropy: inout Entropy
  ) -> Bool {
    guard let position = positions[id], position.keepAlive <= now else { return false }
    advance(id, to: position.cursor, at: now, using: &entropy)
    return true
  }

  mutating func keep(_ summary: ChangeSummary, for range: ChangeRange) {
    summaries[range] = summary
  }

  /// The message of a range, or that there is none, where somebody has worked it out already.
  func knownFrame(_ range: MapRange) -> Task<[UInt8], Never>?? {
    if let frame = frames[range] { return frame }
    return silences.contains(range) ? .some(nil) : nil
  }

  mutating func keepSilence(for range: MapRange) { silences.insert(range) }

  /// The message of a range: encoded by the first stream that needs it, shared by the others.
  mutating func sharedFrame(_ range: MapRange, _ response: MapResponse) -> Task<[UInt8], Never> {
    if let task = frames[range] { return task }
    let task = Task { await encodedFrame(response, compressed: range.compressed) }
    frames[range] = task
    return task
  }

  /// 50 to 59 seconds: under the minute that clients expect, and not all at once.
  private static func nextKeepAlive(
    after now: Instant,
    using entropy: inout Entropy
  ) -> Instant {
    now + .milliseconds(Int.random(in: 50_000..<59_000, using: &entropy))
  }
}
