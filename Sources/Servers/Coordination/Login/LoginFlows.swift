// SPDX-License-Identifier: Apache-2.0

internal import Bytes
package import Cryptography
package import Timing

/// Logins that are on their way through an identity provider, and those that came back and wait for
/// the person's last word.
///
/// Each is bound to one browser by a cookie, works once, and is forgotten soon.
package struct LoginFlows: Sendable {
  /// How many may be on their way; the oldest gives way.
  package static let maximumCount = 1024
  /// How many may be on their way for one thing; the oldest of them gives way.
  package static let maximumPerSubject = 8
  /// How long one may take.
  package static let lifetime = Duration.seconds(10 * 60)

  /// What a login is for.
  package enum Subject: Hashable, Sendable {
    /// To let a machine in.
    case machine(LoginID)
    /// To pass a check before a session of SSH.
    case check(CheckID)
  }

  /// What a browser takes along to the provider.
  package struct Beginning: Sendable {
    /// What comes back with the answer: 256 random bits.
    package let state: String
    /// What the token has to repeat.
    package let nonce: String
    /// The hash of the verifier, which the provider asks for later.
    package let challenge: String
    /// What the browser's cookie holds.
    package let browser: String
  }

  /// A login that came back to the browser that it began in.
  package struct Returned: Sendable {
    /// What it is for.
    package let subject: Subject
    /// What the token has to repeat.
    package let nonce: String
    /// What proves to the provider that the question was ours.
    package let verifier: String
  }

  private struct Flow: Sendable {
    let subject: Subject
    let nonce: String
    let verifier: String
    let browser: [UInt8]
    let created: Instant
  }

  private struct Answer: Sendable {
    let subject: Subject
    let claims: IdentityClaims
    let browser: [UInt8]
    let created: Instant
  }

  private var flows: [String: Flow] = [:]
  private var flowOrder: [String] = []
  private var answers: [String: Answer] = [:]
  private var answerOrder: [String] = []
  /// How many gave way because there were too many.
  package private(set) var evicted = 0

  /// None.
  package init() {}

  /// Begins a login.
  package mutating func begin(
    _ subject: Subject,
    at now: Instant,
    using entropy: inout Entropy
  ) -> Beginning {
    expire(at: now)
    let state = Self.secret(using: &entropy)
    let verifier = Self.secret(using: &entropy)
    let (nonce, browser) = (Self.secret(using: &entropy), Self.secret(using: &entropy))
    let own = flowOrder.filter { flows[$0]?.subject == subject }
    if own.count >= Self.maximumPerSubject { evict(own[0]) }
    if flows.count >= Self.maximumCount { evict(flowOrder[0]) }
    flows[state] = Flow(
      subject: subject,
      nonce: nonce,
      verifier: verifier,
      browser: SHA256.hash(Array(browser.utf8)),
      created: now
    )
    flowOrder.append(state)
    return Beginning(
      state: state,
      nonce: nonce,
      challenge: SignedToken.encoded(SHA256.hash(Array(verifier.utf8))),
      browser: browser
    )
  }

  /// Takes the login of a state, once; nil when there is none, or it began in another browser.
  ///
  /// Whoever shows a state ends it: a second try is as good as none.
  package mutating func take(_ state: String, from browser: String?, at now: Instant) -> Returned? {
    expire(at: now)
    guard let flow = flows.removeValue(forKey: state) else { return nil }
    flowOrder.removeAll { $0 == state }
    guard let browser, equalInConstantTime(SHA256.hash(Array(browser.utf8)), flow.browser) else {
      return nil
    }
    return Returned(subject: flow.subject, nonce: flow.nonce, verifier: flow.verifier)
  }

  /// Keeps who it is until the person has said that the machine is theirs.
  ///
  /// - Returns: What the form holds, and what the cookie.
  package mutating func keep(
    _ claims: IdentityClaims,
    for subject: Subject,
    at now: Instant,
    using entropy: inout Entropy
  ) -> (form: String, browser: String) {
    expire(at: now)
    let (form, browser) = (Self.secret(using: &entropy), Self.secret(using: &entropy))
    if answers.count >= Self.maximumCount {
      answers[answerOrder.removeFirst()] = nil
      evicted += 1
    }
    answers[form] = Answer(
      subject: subject,
      claims: claims,
      browser: SHA256.hash(Array(browser.utf8)),
      created: now
    )
    answerOrder.append(form)
    return (form, browser)
  }

  /// Takes the answer that a form names, once; nil when there is none, or it is another browser's or
  /// for something else.
  package mutating func confirm(
    _ form: String,
    for subject: Subject,
    from browser: String?,
    at now: Instant
  ) -> IdentityClaims? {
    expire(at: now)
    guard let answer = answers.removeValue(forKey: form) else { return nil }
    answerOrder.removeAll { $0 == form }
    guard answer.subject == subject, let browser,
      equalInConstantTime(SHA256.hash(Array(browser.utf8)), answer.browser)
    else { return nil }
    return answer.claims
  }

  private mutating func evict(_ state: String) {
    flows[state] = nil
    flowOrder.removeAll { $0 == state }
    evicted += 1
  }

  private mutating func expire(at now: Instant) {
    while let oldest = flowOrder.first, let flow = flows[oldest],
      now - flow.created >= Self.lifetime
    {
      flows[oldest] = nil
      flowOrder.removeFirst()
    }
    while let oldest = answerOrder.first, let answer = answers[oldest],
      now - answer.created >= Self.lifetime
    {
      answers[oldest] = nil
      answerOrder.removeFirst()
    }
  }

  private static func secret(using entropy: inout Entropy) -> String {
    SignedToken.encoded(entropy.bytes(32))
  }
}

/// The name of a check before a session of SSH: 128 random bits, used once.
package struct CheckID: Hashable, Sendable, CustomStringConvertible {
  private static let digits = 32
  private let text: String

  /// A new name that nobody can guess.
  package init(using entropy: inout Entropy) { text = Hex.encode(entropy.bytes(Self.digits / 2)) }

  /// The name that `text` spells; nil when it is not of our form.
  package init?(_ text: some StringProtocol) {
    let isHex = text.utf8.allSatisfy { isDigit($0) || (0x61...0x66).contains($0) }
    guard text.utf8.count == Self.digits, isHex else { return nil }
    self.text = String(text)
  }

  /// 32 lower-case hexadecimal digits.
  package var description: String { text }
}
