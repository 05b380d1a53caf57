// SPDX-License-Identifier: Apache-2.0

import Addressing
import Bytes
import Disco
import Magicsock
import PortMapping
package import Timing

/// Watches what happens, and says what must never be.
///
/// Safety: what a host receives was sent to it by whom it claims to be from, and was allowed; no
/// plaintext leaves a node; no counter of a session is used for two messages; data goes to an endpoint
/// only after something that was sent there reached a node; a node carries packets only of those whom it
/// gave a network to, and answers with no more than it received. Liveness is asked by scenarios, from `talks`.
package struct Oracle {
  /// Which way packets take.
  package enum Way: Hashable, Sendable {
    /// To the peer itself.
    case direct
    /// Through another node.
    case carried
    /// Through a relay.
    case relayed
  }

  /// A question of a host to another, and what became of it.
  package struct Talk: Hashable, Sendable {
    /// Who asked.
    package var from: Int
    /// Who was asked.
    package var to: Int
    /// How many bytes the question has at least.
    package var size: Int
    /// When.
    package var askedAt: Instant
    /// When the question arrived first.
    package var heardAt: Instant?
    /// When the answer arrived first.
    package var answeredAt: Instant?
    /// The asker's path when the answer arrived.
    package var way = Way.relayed
    /// Whether it was direct.
    package var wasDirect: Bool { way == .direct }
  }

  /// What a host says: a mark that must never be seen outside, and which question it is.
  struct Content {
    static let mark = Array("MARTLET IN THE CLEAR".utf8)
    var id: UInt64
    var isAnswer: Bool

    init(id: UInt64, isAnswer: Bool) { (self.id, self.isAnswer) = (id, isAnswer) }

    init?(_ bytes: [UInt8]) {
      let start = Self.mark.count
      guard bytes.count >= start + 9, bytes.starts(with: Self.mark) else { return nil }
      isAnswer = bytes[start] == 1
      id = bytes[start + 1..<start + 9].reduce(0) { $0 << 8 | UInt64($1) }
    }

    var bytes: [UInt8] {
      var writer = ByteWriter()
      writer.write(Self.mark)
      writer.write([isAnswer ? 1 : 0])
      writer.bigEndian(id)
      return writer.bytes
    }
  }

  private struct SessionID: Hashable {
    var node: Int
    var receiver: UInt32
  }

  /// How many violations are kept; the first ones tell most.
  static let maximumViolations = 20
  /// How long a removed node's packets may still be under way.
  static let grace = Duration.seconds(5)

  /// What was wrong.
  package private(set) var violations: [String] = []
  /// What hosts asked, by number.
  package private(set) var talks: [Talk] = []
  private var reached: [Int: Set<Endpoint>] = [:]
  private var counters: [SessionID: [UInt64: UInt64]] = [:]
  private var removedAt: [Int: Instant] = [:]

  /// Says that something is wrong.
  mutating func note(_ what: String, at now: Instant) {
    guard violations.count < Self.maximumViolations else { return }
    violations.append("at \(now.nanoseconds / 1_000_000) ms: \(what)")
  }

  mutating func removed(_ node: Int, at now: Instant) { removedAt[node] = now }

  /// Whether a node was removed.
  func isRemoved(_ node: Int) -> Bool { removedAt[node] != nil }

  // MARK: On the wire

  /// What a node sent to an endpoint reached another node.
  mutating func reached(_ endpoint: Endpoint, by node: Int) {
    reached[node, default: []].insert(endpoint)
  }

  /// A router granted a port, or grants none any more.
  mutating func mapped(_ mapping: PortMapping?, by node: Int, at now: Instant) {
    guard let mapping else { return }
    if mapping.external.port == 0 { note("node\(node) has the port 0 mapped", at: now) }
  }

  mutating func sent(
    _ bytes: [UInt8],
    by node: Int,
    to destination: PacketSource,
    at now: Instant
  ) {
    if Self.contains(Content.mark, in: bytes) {
      note("node\(node) sent plaintext to \(destination)", at: now)
    }
    var bytes = bytes[...]
    if case .peerRelay = destination { bytes = bytes.dropFirst(GeneveHeader.byteCount) }
    guard bytes.count >= 32, bytes.starts(with: [4, 0, 0, 0]) else { return }
    bytes = Array(bytes)[...]
    if let endpoint = destination.endpoint, reached[node]?.contains(endpoint) != true {
      note("node\(node) sent data to \(endpoint), where nothing of it ever arrived", at: now)
    }
    let receiver = bytes[4..<8].reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
    let counter = bytes[8..<16].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    let print = bytes[16...].reduce(UInt64(14_695_981_039_346_656_037)) {
      ($0 ^ UInt64($1)) &* 1_099_511_628_211
    }
    let session = SessionID(node: node, receiver: receiver)
    // The same message may go twice, over two paths; another one under its counter must not.
    let before = counters[session, default: [:]].updateValue(print, forKey: counter)
    if let before, before != print {
      note("node\(node) used counter \(counter) of session \(receiver) twice", at: now)
    }
  }

  private static func contains(_ mark: [UInt8], in bytes: [UInt8]) -> Bool {
    guard bytes.count >= mark.count else { return false }
    return (0...(bytes.count - mark.count)).contains { start in
      bytes[start] == mark[0] && bytes[start..<start + mark.count].elementsEqual(mark)
    }
  }

  // MARK: At the hosts

  mutating func asked(from: Int, to: Int, size: Int = 0, at now: Instant) -> UInt64 {
    talks.append(Talk(from: from, to: to, size: size, askedAt: now))
    return UInt64(talks.count - 1)
  }

  /// Two nodes exchanged something, of which those that are still in the network hear from the server.
  mutating func informed(_ one: Int, _ other: Int, at now: Instant) {
    for node in [one, other] {
      if let since = removedAt[node], now - since > Self.grace {
        note("node\(node) was removed, and still talks", at: now)
      }
    }
  }

  mutating func delivered(
    _ content: Content,
    from sender: Int?,
    to receiver: Int,
    isShielded: Bool,
    at now: Instant
  ) {
    guard content.id < UInt64(talks.count) else {
      return note("node\(receiver) received what nobody sent", at: now)
    }
    let talk = talks[Int(content.id)]
    let expected = content.isAnswer ? (talk.to, talk.from) : (talk.from, talk.to)
    if sender != expected.0 || receiver != expected.1 {
      note(
        "node\(receiver) received what was said by node\(expected.0) to node\(expected.1)",
        at: now
      )
    }
    if isShielded, !content.isAnswer {
      note("node\(receiver) has its shields up and received a question", at: now)
    }
    if !content.isAnswer, talk.heardAt == nil { talks[Int(content.id)].heardAt = now }
  }

  mutating func answered(_ id: UInt64, over way: Way, at now: Instant) {
    guard id < UInt64(talks.count), talks[Int(id)].answeredAt == nil else { return }
    talks[Int(id)].answeredAt = now
    talks[Int(id)].way = way
  }
}
