// SPDX-License-Identifier: Apache-2.0

package import Cryptography
package import JSON
package import Keys
internal import Timing

/// A session of SSH, or of a node's web interface, that waits until its user has proven to be there.
package struct SessionCheck: Hashable, Sendable {
  /// What became of it.
  package enum Verdict: Hashable, Sendable {
    /// Nobody has decided.
    case pending
    /// Its user was there.
    case passed
    /// It was sent away.
    case rejected
  }

  /// What it is a session of.
  package enum Kind: Hashable, Sendable {
    /// A shell, as a user of the host.
    case shell(as: String)
    /// The web interface of a node.
    case web
  }

  /// Its name.
  package let id: CheckID
  /// Where the session comes from.
  package let source: NodeID
  /// Where it leads.
  package let target: NodeID
  /// What it is a session of.
  package let kind: Kind
  /// When it began to wait.
  package let created: Moment
  /// What became of it.
  package var verdict = Verdict.pending

  /// As whom it would log in, in words.
  package var login: String {
    switch kind {
    case .shell(let login): login
    case .web: "(web interface)"
    }
  }
}

/// Sessions that wait for their users, and since when users are known to be there.
package struct SessionChecks: Sendable {
  /// How many may wait; the oldest gives way.
  package static let maximumCount = 1024
  /// How many successes are remembered; the oldest gives way.
  package static let maximumSuccesses = 16_384
  /// How long one may wait.
  package static let lifetime = Duration.seconds(15 * 60)

  private struct Pair: Hashable {
    let source: NodeID
    let target: NodeID
  }

  private var checks: [CheckID: SessionCheck] = [:]
  private var order: [CheckID] = []
  private var successes: [Pair: Instant] = [:]

  /// None.
  package init() {}

  package subscript(id: CheckID) -> SessionCheck? { checks[id] }

  /// Those that wait, oldest first.
  package var pending: [SessionCheck] {
    order.compactMap { checks[$0] }.filter { $0.verdict == .pending }
  }

  /// Lets one more wait; tells who had to give way.
  mutating func insert(_ check: SessionCheck) -> CheckID? {
    var loser: CheckID?
    if checks.count >= Self.maximumCount, let oldest = order.first {
      checks[oldest] = nil
      order.removeFirst()
      loser = oldest
    }
    checks[check.id] = check
    order.append(check.id)
    return loser
  }

  mutating func decide(_ id: CheckID, _ verdict: SessionCheck.Verdict, at now: Instant) {
    checks[id]?.verdict = verdict
    guard verdict == .passed, let check = checks[id], check.kind != .web else { return }
    if successes.count >= Self.maximumSuccesses,
      let oldest = successes.min(by: { $0.value < $1.value })?.key
    {
      successes[oldest] = nil
    }
    successes[Pair(source: check.source, target: check.target)] = now
  }

  /// Whether the user of one node was there for another within a time.
  func hasPassed(
    from source: NodeID,
    to target: NodeID,
    within period: Duration,
    at now: Instant
  ) -> Bool {
    successes[Pair(source: source, target: target)].map { now - $0 < period } ?? false
  }

  /// Forgets who was there: another policy may ask for more.
  mutating func forgetSuccesses() { successes = [:] }

  /// Forgets those that waited too long, and tells which.
  mutating func expire(at now: Instant) -> [CheckID] {
    var over: [CheckID] = []
    while let oldest = order.first, let check = checks[oldest],
      now - check.created.instant >= Self.lifetime
    {
      checks[oldest] = nil
      order.removeFirst()
      over.append(oldest)
    }
    return over
  }
}

/// What a node that asks about a session of SSH is answered.
package enum SessionOutcome: Sendable {
  /// This, as JSON.
  case action(JSONValue)
  /// Nothing until somebody decides; then it is to be asked again.
  case wait(CheckID)
  /// The asking machine is not the one that the session leads to, or the check is another session's.
  case foreign
  /// There is no such node, or no rule that asks for a check.
  case unknown
}

extension Tailnet {
  /// Decides about a session of SSH from one node to another, for the machine that it leads to.
  ///
  /// How long a success counts is said by the policy, never by who asks.
  package mutating func session(
    from source: NodeID,
    to target: NodeID,
    as login: String,
    check: CheckID?,
    for machine: MachineKey,
    at now: Moment,
    using entropy: inout Entropy,
    into effects: inout Effects
  ) -> SessionOutcome {
    guard let node = nodes[target], nodes[source] != nil else { return .unknown }
    guard node.machineKey == machine else { return .foreign }
    guard let period = access?.checkPeriod(from: source, to: target, as: login) else {
      return .unknown
    }
    if let check, let known = checks[check] {
      guard known.source == source, known.target == target, known.kind == .shell(as: login) else {
        return .foreign
      }
      switch known.verdict {
      case .pending: return .wait(check)
      case .passed: return .action(Self.acceptance)
      case .rejected:
        return .action(["reject": true, "message": "The check of this session was not passed.\n"])
      }
    }
    if period > .zero,
      checks.hasPassed(from: source, to: target, within: period, at: now.instant)
    {
      return .action(Self.acceptance)
    }
    let new = SessionCheck(
      id: CheckID(using: &entropy),
      source: source,
      target: target,
      kind: .shell(as: login),
      created: now
    )
    if let loser = checks.insert(new) { effects.settledChecks.append(loser) }
    return .action([
      "message": .string(
        "# This session needs a check that it is really you. Visit:\n#\n#   \(options.url)/auth/\(new.id)\n"
      ),
      "holdAndDelegate": .string(
        "https://unused/machine/ssh/action/\(source)/to/\(target)?auth_id=\(new.id)"
          + "&local_user=$LOCAL_USER"
      ),
    ])
  }

  /// Begins a check of a session of a node's web interface, for the machine that serves it.
  package mutating func webSession(
    from source: NodeID,
    to target: NodeID,
    for machine: MachineKey,
    at now: Moment,
    using entropy: inout Entropy,
    into effects: inout Effects
  ) throws(Refusal) -> SessionCheck {
    guard let node = nodes[target], node.machineKey == machine, node.mayTalk(at: now.time) else {
      throw .notFound("No such node is registered by this machine.")
    }
    guard let from = nodes[source], from.mayTalk(at: now.time),
      source == target || access?.sees(target, source) ?? true
    else { throw .notFound("This node sees no node \(source).") }
    let new = SessionCheck(
      id: CheckID(using: &entropy),
      source: source,
      target: target,
      kind: .web,
      created: now
    )
    if let loser = checks.insert(new) { effects.settledChecks.append(loser) }
    return new
  }

  /// The check of a session of a node's web interface, for the machine that serves it.
  package func webSession(
    _ id: CheckID,
    from source: NodeID,
    to target: NodeID,
    for machine: MachineKey
  ) -> SessionCheck? {
    guard let check = checks[id], check.kind == .web, check.source == source,
      check.target == target, nodes[target]?.machineKey == machine
    else { return nil }
    return check
  }

  private static let acceptance: JSONValue = [
    "accept": true, "allowAgentForwarding": true, "allowLocalPortForwarding": true,
    "allowRemotePortForwarding": true,
  ]

  /// A session that waits, with the names of the nodes at its ends.
  package func waitingCheck(_ id: CheckID) -> (SessionCheck, source: String, target: String)? {
    guard let check = checks[id], check.verdict == .pending, let source = nodes[check.source],
      let target = nodes[check.target]
    else { return nil }
    return (check, source.name, target.name)
  }

  /// Lets a session pass, or sends it away.
  package mutating func decide(
    _ id: CheckID,
    passed: Bool,
    by actor: String,
    at now: Moment,
    into effects: inout Effects
  ) throws(Refusal) {
    guard let check = checks[id], check.verdict == .pending else {
      throw .notFound("No session with this id is waiting; it may have ended. Start it again.")
    }
    checks.decide(id, passed ? .passed : .rejected, at: now.instant)
    effects.settledChecks.append(id)
    audit(
      actor,
      (check.kind == .web ? "web" : "ssh") + (passed ? ".approve" : ".reject"),
      "session \(check.source) to \(check.target)",
      "",
      at: now,
      into: &effects
    )
  }

  /// Lets a session pass for a person who has proven to be there: the owner of the node it comes from.
  package mutating func pass(
    _ id: CheckID,
    as claims: IdentityClaims,
    at now: Moment,
    into effects: inout Effects
  ) throws(Refusal) {
    guard let check = checks[id], let owner = nodes[check.source]?.user,
      let person = user(of: claims.identity), person.id == owner
    else { throw Refusal(.forbidden, "This session does not come from a machine of yours.") }
    try decide(id, passed: true, by: "user \(person.name)", at: now, into: &effects)
  }
}

extension CompiledPolicy {
  /// How long it counts that the user of one device was there, before a session to another; nil where
  /// no check is asked for.
  func checkPeriod(from source: NodeID, to target: NodeID, as login: String) -> Duration? {
    guard let from = devices[source], let to = devices[target] else { return nil }
    let rule = sshRules.first { $0.asksForCheck(from: from, to: to, as: login) }
    guard let rule else { return nil }
    switch rule.checkPeriod {
    case .always?: return .zero
    case .lasting(let period)?: return period
    case nil: return .seconds(12 * 3600)
    }
  }
}

extension SSHAccess {
  /// Whether it asks for a check before a session between two devices.
  func asksForCheck(
    from source: PolicyWorld.Device,
    to target: PolicyWorld.Device,
    as login: String
  ) -> Bool {
    guard isCheck, sources.holds(source.id) else { return false }
    let isOwn = leadsToOwn && source.person != nil && source.person == target.person
    guard nodes.holds(target.id) || isOwn else { return false }
    let become = logins[login] ?? (login == "root" ? "" : logins["*"] ?? "")
    return !become.isEmpty || users.contains { $0.hasPrefix("localpart:") }
  }
}
