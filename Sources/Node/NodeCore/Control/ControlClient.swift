// SPDX-License-Identifier: Apache-2.0

import ControlProtocol
import ControlSession
import Cryptography
import HTTPTransport
import HostIO
import JSON
import Keys
import Logging
import Timing

/// Keeps a node known to its coordination server: logs in, follows the map, tells news.
///
/// One conversation at a time, opened anew with back-off whenever it ends. What to say and what the
/// answers mean is decided by `ControlSession`; this only moves bytes and waits.
actor ControlClient {
  /// How long the answer to anything but a login or a map may take.
  static let patience = Duration.seconds(30)
  /// How many bytes an answer that is no map may have.
  static let maximumAnswer = 1 << 20

  let server: ServerURL
  let report: @Sendable (ControlEvent) async -> Void
  let logger: Logger

  private let dialer: ControlDialer
  private var login: ControlLogin

  var news: NodeReport
  /// Wakes the teller of news of the conversation that goes on.
  var wakeTeller: AsyncStream<Void>.Continuation?
  var throttle = ReportThrottle()
  var reconnect = Reconnect()
  var orders = ServerOrders()
  var entropy = Entropy.system
  private var serverKey: MachineKey?
  private var isRegistered = false

  /// A client that does nothing until it runs.
  init(
    to server: ServerURL,
    as machineKey: MachinePrivateKey,
    mark: UInt32,
    proxies: ProxySettings,
    login: ControlLogin,
    news: NodeReport,
    logger: Logger,
    report: @escaping @Sendable (ControlEvent) async -> Void
  ) {
    (self.server, self.login, self.news) = (server, login, news)
    (self.report, self.logger) = (report, logger)
    dialer = ControlDialer(to: server, as: machineKey, mark: mark, proxies: proxies)
  }

  /// Tells the server what is new, now or with the next conversation.
  func tell(_ news: NodeReport) {
    self.news = news
    throttle.submit(news)
    wakeTeller?.yield()
  }

  /// Talks with the server until the task is cancelled or the server refuses the login.
  func run() async {
    var isSecondTry = false
    while !Task.isCancelled {
      let failure: any Error
      do {
        let connection = try await connect(onlyTLS: isSecondTry)
        defer { Task { await connection.close() } }
        if !isRegistered {
          guard try await register(over: connection) else { return }
          isRegistered = true
          // It let the node in once; whoever was put out since must not slip in by it again.
          login.authKey = ""
        }
        isSecondTry = false
        failure = await follow(connection)
        // A server that does not know the node any more is asked to take it in again.
        let status = (failure as? ServerRefusal)?.status ?? 0
        if [401, 403, 404].contains(status) { isRegistered = false }
      } catch {
        isSecondTry = true
        failure = error
      }
      guard !Task.isCancelled else { return }
      logger.info("the coordination server is left", metadata: ["why": "\(failure)"])
      await report(.unreachable("\(failure)"))
      let now = MonotonicClock.now()
      let next = reconnect.closed(
        at: now,
        retryAfter: (failure as? ServerRefusal)?.retryAfter,
        using: &entropy
      )
      // Waking early is what cancelling is for.
      try? await Task.sleep(for: next - now)
    }
  }

  /// Gives up the node's key.
  ///
  /// - Throws: Why the server could not be told.
  func logOut() async throws {
    let connection = try await connect(onlyTLS: false)
    defer { Task { await connection.close() } }
    let request = Registration.logout(
      nodeKey: login.nodeKey,
      lockKey: login.lockKey,
      hostinfo: news.hostinfo
    )
    let answer = try await exchange("/machine/register", request.json, over: connection)
    if let refusal = Registration.refusal(ofLogout: try RegisterResponse(json: answer)) {
      throw NodeError(.control, "the server answers: \(refusal)")
    }
  }

  private func connect(onlyTLS: Bool) async throws -> HTTP2Connection {
    let key: MachineKey
    if let serverKey {
      key = serverKey
    } else {
      key = try await dialer.serverKey()
      serverKey = key
    }
    do {
      return try await dialer.connect(proving: key, onlyTLS: onlyTLS)
    } catch {
      // The server may have got another key; it is asked for again, over a connection we can trust.
      serverKey = nil
      throw error
    }
  }

  /// Logs in; false when the client has to stop, which was reported.
  private func register(over connection: HTTP2Connection) async throws -> Bool {
    var registration = Registration(
      nodeKey: login.nodeKey,
      oldNodeKey: login.oldNodeKey,
      lockKey: login.lockKey,
      authKey: login.authKey,
      hostinfo: news.hostinfo
    )
    while true {
      registration.hostinfo = news.hostinfo
      let isWaiting = registration.page != nil
      let answer = try await exchange(
        "/machine/register",
        registration.request().json,
        over: connection,
        timeout: isWaiting ? nil : Self.patience
      )
      switch registration.receive(try RegisterResponse(json: answer)) {
      case .authorised(let account), .awaitsApproval(let account):
        await report(.registered(account.profile))
        return true
      case .needsLogin(let page): await report(.openPage(page.description))
      case .stillNeedsLogin:
        let now = MonotonicClock.now()
        try await Task.sleep(for: reconnect.closed(at: now, using: &entropy) - now)
      case .needsNewKey:
        await report(.keyExpired)
        return false
      case .refused(let reason):
        await report(.refused(reason))
        return false
      }
    }
  }

  /// Sends a request whose answer is one piece.
  ///
  /// - Throws: `ServerRefusal` when the status is not 200.
  func exchange(
    _ path: String,
    _ body: [UInt8],
    over connection: HTTP2Connection,
    timeout: Duration? = patience
  ) async throws -> [UInt8] {
    let response = try await connection.request(
      "POST",
      host: server.url.hostField,
      path: path,
      headers: ["Content-Type": "application/json"],
      body: body,
      timeout: timeout
    )
    let answer = try await response.collect(upTo: Self.maximumAnswer)
    guard response.status == 200 else { throw refusal(response, answer) }
    return answer
  }

  /// What an answer other than 200 says.
  func refusal(_ response: HTTPClientResponse, _ body: [UInt8]) -> ServerRefusal {
    ServerRefusal(
      status: response.status,
      body: body,
      retryAfter: response.headers["Retry-After"],
      at: wallClock(),
      using: &entropy
    )
  }
}
