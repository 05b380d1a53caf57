// SPDX-License-Identifier: Apache-2.0

import ControlProtocol
package import HTTPTransport
import LocalAPI
package import Logging
import Synchronization

/// Answers the requests of the LocalAPI, whatever they came over.
package struct LocalAPIHandler: Sendable {
  /// One request that passed the gate.
  struct Call: Sendable {
    let request: HTTPRequest
    let target: RequestTarget
    let actor: LocalActor
    /// What follows the route's name in the path.
    let rest: String

    var method: String { request.method }
    var isRead: Bool { method == "GET" || method == "HEAD" }
  }

  let node: any NodeControl
  let logger: Logger
  let watchers: WatcherPlaces
  private let version: String
  private let daemonUserID: UInt32

  /// A handler for `node`.
  ///
  /// - Parameters:
  ///   - node: The node that answers.
  ///   - version: The daemon's long version.
  ///   - daemonUserID: The user as whom the daemon runs.
  ///   - logger: Told of every request that may change something.
  package init(
    node: any NodeControl,
    version: String,
    daemonUserID: UInt32,
    logger: Logger
  ) {
    (self.node, self.version) = (node, version)
    (self.daemonUserID, self.logger) = (daemonUserID, logger)
    watchers = WatcherPlaces()
  }

  /// Answers one request.
  package func respond(to request: HTTPRequest) async -> HTTPResponse {
    var response =
      RequestGate.admits(request)
      ? await route(request) : .text(RequestGate.refusal, status: 403)
    let fields = RequestGate.headers(
      version: version,
      capability: CapabilityVersion.current
    )
    for field in fields.fields { response.headers.set(field.name, field.value) }
    return response
  }

  private func route(_ request: HTTPRequest) async -> HTTPResponse {
    let target = RequestTarget(request.path)
    guard target.path != "/" else { return .text("martletd") }
    guard target.path.hasPrefix(LocalAPIRoutes.prefix) else { return .unknown }
    let name = target.path.dropFirst(LocalAPIRoutes.prefix.count)
    guard let (route, rest) = Self.find(name) else { return .unknown }
    let actor = LocalActor(
      request.remote.credentials,
      daemonUserID: daemonUserID,
      operatorUser: await node.preferences().operatorUser
    )
    if !["GET", "HEAD", "OPTIONS"].contains(request.method) {
      logger.info(
        "request",
        metadata: [
          "method": "\(request.method)", "route": "\(route.name)",
          "user": "\(actor.userID.map(String.init) ?? "unknown")",
        ]
      )
    }
    if route.needsWrite, !actor.mayWrite { return .denied(route.name) }
    let call = Call(request: request, target: target, actor: actor, rest: String(rest))
    return await route.respond(self, call)
  }

  /// The route whose whole name is `name`, else the one whose name is its first segment.
  private static func find(_ name: Substring) -> (LocalAPIRoute, Substring)? {
    if let exact = LocalAPIRoute.all[String(name)] { return (exact, "") }
    guard let slash = name.firstIndex(of: "/") else { return nil }
    let rest = name[name.index(after: slash)...]
    return LocalAPIRoute.all[String(name[...slash])].map { ($0, rest) }
  }
}

/// One path of the LocalAPI.
///
/// A name with a slash at its end takes what follows.
struct LocalAPIRoute: Sendable {
  let name: String
  /// Whether every use of it changes something, or tells what only those may know who may.
  let needsWrite: Bool
  let respond: @Sendable (LocalAPIHandler, LocalAPIHandler.Call) async -> HTTPResponse

  init(
    _ name: String,
    needsWrite: Bool = false,
    _ respond:
      @escaping @Sendable (LocalAPIHandler, LocalAPIHandler.Call) async -> HTTPResponse
  ) {
    (self.name, self.needsWrite, self.respond) = (name, needsWrite, respond)
  }

  /// Every path that is served; all else is not found.
  static let all: [String: LocalAPIRoute] = {
    let routes = [
      LocalAPIRoute("status") { await $0.status($1) },
      LocalAPIRoute("prefs") { await $0.preferences($1) },
      LocalAPIRoute("check-prefs", needsWrite: true) { await $0.checkPreferences($1) },
      LocalAPIRoute("start", needsWrite: true) { await $0.start($1) },
      LocalAPIRoute("login-interactive", needsWrite: true) { await $0.startLogin($1) },
      LocalAPIRoute("logout", needsWrite: true) { await $0.logout($1) },
      LocalAPIRoute("profiles/", needsWrite: true) { await $0.profiles($1) },
      LocalAPIRoute("watch-ipn-bus") { await $0.watch($1) },
      LocalAPIRoute("whois") { await $0.whoIs($1) },
      LocalAPIRoute("peer-by-id") { await $0.peer($1) },
      LocalAPIRoute("user-profile") { await $0.userProfile($1) },
      LocalAPIRoute("ping") { await $0.ping($1) },
      LocalAPIRoute("netcheck") { await $0.netcheck($1) },
      LocalAPIRoute("debug-portmap", needsWrite: true) { await $0.portMapping($1) },
      LocalAPIRoute("derpmap") { await $0.relayMap($1) },
      LocalAPIRoute("dns-config") { await $0.dnsConfiguration($1) },
      LocalAPIRoute("usermetrics") { await $0.userMetrics($1) },
      LocalAPIRoute("metrics", needsWrite: true) { await $0.clientMetrics($1) },
      LocalAPIRoute("debug-peer-relay-sessions") { await $0.relaySessions($1) },
    ]
    return Dictionary(uniqueKeysWithValues: routes.map { ($0.name, $0) })
  }()
}
