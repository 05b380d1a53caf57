// SPDX-License-Identifier: Apache-2.0

internal import Coordination
internal import CoordinationStore
internal import Cryptography
internal import HTTPTransport
internal import Logging
internal import Timing

/// Leads a person's browser through the identity provider and back, and asks for their last word.
///
/// Three steps, each bound to the browser by a cookie and good for one time: to the provider with a
/// state, back with a code, and a form that says whose machine it is. Only the form lets it in: a link
/// that somebody was made to follow does not.
actor LoginDesk {
  /// How many exchanges with the provider may go on at a time.
  static let maximumExchanges = 16

  private let provider: IdentityProvider
  private let coordinator: Coordinator
  private let logger: Logger
  private let clock: @Sendable () -> Moment
  private let url: String
  private let turnstile = Turnstile(places: LoginDesk.maximumExchanges)
  private var entropy = Entropy.system
  private var flows = LoginFlows()

  init(
    _ provider: IdentityProvider,
    for coordinator: Coordinator,
    url: String,
    clock: @escaping @Sendable () -> Moment,
    logger: Logger
  ) {
    self.provider = provider
    self.coordinator = coordinator
    self.url = url
    self.clock = clock
    self.logger = logger
  }

  // MARK: There

  /// Sends a browser to the provider.
  func begin(_ subject: LoginFlows.Subject) async -> HTTPResponse {
    let beginning = flows.begin(subject, at: clock().instant, using: &entropy)
    do {
      let page = try await page(for: beginning)
      var answer = Answer.bytes(302, nil, [], ("Location", page))
      answer.headers.add(
        "Set-Cookie",
        cookie(Self.flowCookie(beginning.state), beginning.browser, "/oidc/callback", "Lax")
      )
      return answer
    } catch {
      logger.error("the identity provider cannot be asked", metadata: ["reason": "\(error)"])
      return Answer.html(
        503,
        LoginPage.message(
          "The identity provider does not answer",
          "Try again in a while. An administrator finds the reason in the server's log."
        )
      )
    }
  }

  // MARK: Back

  /// `GET /oidc/callback`: a browser comes back with a code.
  func callback(_ target: RequestTarget, _ request: HTTPRequest) async -> HTTPResponse {
    guard let state = target.value("state") else { return Self.stray }
    let name = Self.flowCookie(state)
    let browser = FormFields.cookies(name, in: request.headers.values("Cookie")).first
    guard let login = flows.take(state, from: browser, at: clock().instant) else {
      logger.notice("refused a login that did not begin here, or is over")
      return Self.stray
    }
    if let word = target.value("error") {
      let shown = NodeName.printable(word)
      logger.notice("the identity provider refused a login", metadata: ["reason": "\(shown)"])
      return Answer.html(
        403,
        LoginPage.message("Not logged in", "The identity provider says: \(shown).")
      )
    }
    guard let code = target.value("code"), !code.isEmpty else { return Self.stray }
    do {
      let claims = try await redeem(code, for: login)
      try provider.options.rules.check(claims)
      return await ask(claims, for: login.subject)
    } catch let refusal as Refusal {
      logger.notice("refused a login", metadata: ["reason": "\(refusal)"])
      return Answer.html(403, LoginPage.message("Not logged in", refusal.message))
    } catch {
      logger.warning("a login proved nothing", metadata: ["reason": "\(error)"])
      return Answer.html(
        403,
        LoginPage.message(
          "Not logged in",
          "The identity provider's answer proves nothing. An administrator finds the reason in the "
            + "server's log."
        )
      )
    }
  }

  private nonisolated func page(for beginning: LoginFlows.Beginning) async throws -> String {
    let provider = provider
    return try await turnstile.pass { try await provider.page(for: beginning) }
  }

  private nonisolated func redeem(
    _ code: String,
    for login: LoginFlows.Returned
  ) async throws -> IdentityClaims {
    let provider = provider
    return try await turnstile.pass { try await provider.redeem(code, for: login) }
  }

  // MARK: The last word

  /// Shows whose machine it would be, and asks whether it is.
  private func ask(_ claims: IdentityClaims, for subject: LoginFlows.Subject) async -> HTTPResponse
  {
    let kept: (form: String, browser: String)
    let (page, place): (String, String)
    switch subject {
    case .machine(let id):
      guard let login = await coordinator.read({ tailnet, _ in tailnet.logins[id] }),
        login.verdict == .pending
      else { return Answer.html(410, LoginPage.unknown) }
      kept = flows.keep(claims, for: subject, at: clock().instant, using: &entropy)
      let person = claims.email.isEmpty ? claims.preferredName : claims.email
      page = LoginPage.confirming(login, as: person, form: kept.form)
      place = "/register/confirm/\(id)"
    case .check(let id):
      guard
        let (check, from, to) = await coordinator.read({ tailnet, _ in tailnet.waitingCheck(id) })
      else { return Answer.html(410, LoginPage.unknown) }
      kept = flows.keep(claims, for: subject, at: clock().instant, using: &entropy)
      page = LoginPage.confirming(check, (from, to), form: kept.form)
      place = "/auth/confirm/\(id)"
    }
    var answer = Answer.html(200, page, mayPost: true)
    answer.headers.add(
      "Set-Cookie",
      cookie(Self.confirmCookie(subject), kept.browser, place, "Strict")
    )
    return answer
  }

  /// `POST /register/confirm/ID`, `POST /auth/confirm/ID`: the person says that it is theirs.
  func confirm(_ subject: LoginFlows.Subject, _ request: HTTPRequest) async -> HTTPResponse {
    if let origin = request.headers["Origin"], origin != "null", !isOwn(origin) {
      return Self.stray
    }
    let name = Self.confirmCookie(subject)
    let browser = FormFields.cookies(name, in: request.headers.values("Cookie"))
    let form = FormFields.decode(request.body)?.first { $0.name == "token" }?.value ?? ""
    let claims = flows.confirm(form, for: subject, from: browser.first, at: clock().instant)
    guard let claims else {
      logger.notice("refused a confirmation that was not asked for, or is over")
      return Self.stray
    }
    do {
      return try await finish(subject, claims)
    } catch let refusal as Refusal {
      return Answer.html(refusal.status, LoginPage.message("Not let in", refusal.message))
    } catch {
      logger.warning("a login failed", metadata: ["reason": "\(error)"])
      return Answer.html(503, LoginPage.message("Not let in", "Try again in a while."))
    }
  }

  private func finish(
    _ subject: LoginFlows.Subject,
    _ claims: IdentityClaims
  ) async throws -> HTTPResponse {
    let end = provider.options.usesTokenExpiry ? claims.expiry : nil
    switch subject {
    case .check(let id):
      try await coordinator.perform { (tailnet, now, _, effects) throws(Refusal) in
        try tailnet.pass(id, as: claims, at: now, into: &effects)
      }
      return Answer.html(
        200,
        LoginPage.message("Done", "The session goes on. You can close this page.")
      )
    case .machine(let id):
      let node = try await coordinator.perform { (tailnet, now, entropy, effects) throws(Refusal) in
        try tailnet.signIn(
          id,
          as: claims,
          until: end,
          at: now,
          using: &entropy,
          into: &effects
        )
      }
      logger.info(
        "a person let a machine in",
        metadata: ["node": "\(node.id)", "name": "\(node.name)"]
      )
      return Answer.html(200, LoginPage.joined(node))
    }
  }

  /// Whether a page of ours is where a form came from.
  private func isOwn(_ origin: String) -> Bool { origin.lowercased() == url.lowercased() }

  private static let stray = Answer.html(
    403,
    LoginPage.message(
      "This login is over",
      "It was finished already, took too long, or began in another browser. Start it again on the "
        + "machine."
    )
  )

  // MARK: Cookies

  private func cookie(_ name: String, _ value: String, _ path: String, _ site: String) -> String {
    let isSecure = url.hasPrefix("https://")
    return "\(name)=\(value); Path=\(path); Max-Age=\(LoginFlows.lifetime.components.seconds); "
      + "HttpOnly; SameSite=\(site)" + (isSecure ? "; Secure" : "")
  }

  private static func flowCookie(_ state: String) -> String {
    "martlet_login_" + state.prefix(8).filter { $0.isASCII && ($0.isLetter || $0.isNumber) }
  }

  private static func confirmCookie(_ subject: LoginFlows.Subject) -> String {
    switch subject {
    case .machine(let id): "martlet_confirm_" + id.description.prefix(8)
    case .check(let id): "martlet_check_" + id.description.prefix(8)
    }
  }
}
