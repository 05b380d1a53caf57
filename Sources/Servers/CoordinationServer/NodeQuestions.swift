// SPDX-License-Identifier: Apache-2.0

internal import ControlProtocol
internal import Coordination
internal import Cryptography
internal import Keys
internal import Timing

/// What nodes are asked over their map streams, and who waits for the answers.
///
/// A node answers over its own Noise connection, so that nobody answers in its place. Each question
/// has a name of its own: clients pass over one whose address they have seen.
struct NodeQuestions {
  /// How many may wait for an answer.
  static let maximumWaiting = 1024
  /// How many of one node, so that none takes all the places.
  static let maximumPerNode = 8
  /// How long a request may wait for its answer.
  static let maximumWait = Duration.seconds(60)

  /// What somebody asks.
  private enum Kind {
    /// Whether it lives.
    case sign
    /// An answer to a request of HTTP, for who waits.
    case request([UInt8], AsyncStream<[UInt8]>.Continuation)
  }

  private struct Question {
    let node: NodeID
    let kind: Kind
    let deadline: Instant
    /// Whether a stream has taken it.
    var isTaken = false
  }

  private var questions: [CheckID: Question] = [:]
  private var order: [CheckID] = []
  /// How many requests were refused because too many waited.
  private(set) var refused = 0
  /// How many routers gave no sign of life in time.
  private(set) var missed = 0

  var count: Int { questions.count }

  /// Asks whether a node lives; false when there is no place, or it is being asked already.
  mutating func askForSign(
    of node: NodeID,
    until deadline: Instant,
    using entropy: inout Entropy
  ) -> Bool {
    let isAsked = questions.values.contains { question in
      if case .sign = question.kind { question.node == node } else { false }
    }
    return !isAsked
      && put(Question(node: node, kind: .sign, deadline: deadline), using: &entropy) != nil
  }

  /// Has a node answer a request; the stream gets the answer, or ends without one.
  mutating func ask(
    _ node: NodeID,
    _ request: [UInt8],
    at now: Instant,
    using entropy: inout Entropy
  ) -> AsyncStream<[UInt8]>? {
    let (answers, waiter) = AsyncStream<[UInt8]>.makeStream(bufferingPolicy: .bufferingNewest(1))
    let question = Question(
      node: node,
      kind: .request(request, waiter),
      deadline: now + Self.maximumWait
    )
    guard put(question, using: &entropy) != nil else {
      refused += 1
      return nil
    }
    return answers
  }

  private mutating func put(_ question: Question, using entropy: inout Entropy) -> CheckID? {
    let own = questions.values.count { $0.node == question.node }
    guard questions.count < Self.maximumWaiting, own < Self.maximumPerNode else { return nil }
    let id = CheckID(using: &entropy)
    questions[id] = question
    order.append(id)
    return id
  }

  /// What a stream of a node has to ask next; once.
  mutating func take(for node: NodeID) -> PingRequest? {
    guard !questions.isEmpty,
      let id = order.first(where: { questions[$0].map { $0.node == node && !$0.isTaken } ?? false })
    else { return nil }
    questions[id]?.isTaken = true
    switch questions[id]?.kind {
    case .sign:
      return PingRequest(url: "https://unused/machine/ping-response?id=\(id)", urlIsNoise: true)
    case .request(let bytes, _):
      return PingRequest(
        url: "https://unused/machine/c2n/\(id)",
        urlIsNoise: true,
        types: "c2n",
        payload: bytes
      )
    case nil: return nil
    }
  }

  /// The node that a question was put to, while it waits.
  func node(of id: CheckID) -> NodeID? { questions[id]?.node }

  /// A node has given a sign of life; tells which.
  mutating func sign(_ id: CheckID) -> NodeID? {
    guard case .sign = questions[id]?.kind else { return nil }
    return drop(id)?.node
  }

  /// A node has answered a request; false when none is waited for.
  mutating func answer(_ id: CheckID, _ bytes: [UInt8]) -> Bool {
    guard case .request(_, let waiter) = questions[id]?.kind else { return false }
    waiter.yield(bytes)
    waiter.finish()
    return drop(id) != nil
  }

  /// A node begins a stream anew: that it did not answer over the old one says nothing.
  mutating func forgetSigns(of node: NodeID) {
    for (id, question) in questions where question.node == node {
      if case .sign = question.kind { _ = drop(id) }
    }
  }

  /// Ends what has waited too long, and tells which nodes gave no sign of life.
  mutating func expire(at now: Instant) -> [NodeID] {
    guard !questions.isEmpty else { return [] }
    var silent: [NodeID] = []
    for (id, question) in questions where question.deadline <= now {
      _ = drop(id)
      switch question.kind {
      case .sign: silent.append(question.node)
      case .request(_, let waiter): waiter.finish()
      }
    }
    missed += silent.count
    return silent.sorted()
  }

  /// Ends all, without answers.
  mutating func endAll() {
    for question in questions.values {
      if case .request(_, let waiter) = question.kind { waiter.finish() }
    }
    (questions, order) = ([:], [])
  }

  private mutating func drop(_ id: CheckID) -> Question? {
    order.removeAll { $0 == id }
    return questions.removeValue(forKey: id)
  }
}

extension Coordinator {
  /// Has a node answer a request, whole, as it would stand on a connection; nil when it gives no
  /// answer in time.
  func ask(_ node: NodeID, _ request: [UInt8], by actor: String) async throws -> [UInt8]? {
    let line = String(decoding: request.prefix { $0 != 0x0D }, as: UTF8.self)
    try await perform { (tailnet, now, _, effects) throws(Refusal) in
      try tailnet.noteQuestion(to: node, line, by: actor, at: now, into: &effects)
    }
    guard streams.hasStream(of: node) else {
      throw Refusal(.conflict, "The node is not connected.")
    }
    guard let answers = question(node, request) else {
      throw Refusal(.exhausted, "Too many questions wait for this node. Try again.")
    }
    for await answer in answers { return answer }
    return nil
  }

  /// Takes the answer of a node to a question; false when it was not asked, or not this machine.
  func answer(_ id: CheckID, _ bytes: [UInt8]?, from machine: MachineKey) -> Bool {
    guard let node = questions.node(of: id).flatMap({ tailnet.nodes[$0] }),
      node.machineKey == machine
    else { return false }
    guard let bytes else {
      guard let node = questions.sign(id) else { return false }
      noteSign(of: node, isThere: true)
      return true
    }
    return questions.answer(id, bytes)
  }
}
