// SPDX-License-Identifier: Apache-2.0

internal import Bytes
internal import ControlProtocol
internal import Coordination
internal import Cryptography
internal import HTTPTransport
internal import JSON
internal import Keys

/// The door that everybody can reach: the server's key, the way into the Noise connection, the page
/// of a login, and whether we are well.
struct PublicEndpoint: Sendable {
  let coordinator: Coordinator
  let key: MachinePrivateKey
  let version: String
  let connections: ConnectionCount
  /// The longest question of a relay.
  private static let maximumQuestion = 4096
  let machines: MachineEndpoint
  /// Leads people through their identity provider; nil where there is none.
  let logins: LoginDesk?
  let api: APIDoor

  func answer(_ request: HTTPRequest) async -> HTTPResponse {
    guard let target = RequestTarget(request.path) else {
      return Answer.text(400, "The address of the request cannot be read.")
    }
    if target.path == "/ts2021" {
      return request.isForWebSocket ? webSocket(request, target) : upgrade(request)
    }
    if target.path == "/verify", request.method == "POST" { return await verify(request.body) }
    if request.method == "POST", let logins, let subject = confirmation(target) {
      return await logins.confirm(subject, request)
    }
    if APIDoor.isAPI(target.path) { return await api.answer(request) }
    guard request.method == "GET" || request.method == "HEAD" else {
      return Answer.text(405, "Only GET is answered here.")
    }
    if target.path == "/oidc/callback", let logins { return await logins.callback(target, request) }
    switch target.path {
    case "/key": return serverKey(target)
    case "/health": return await health()
    case "/version": return versionAnswer()
    case "/": return Answer.text(200, "This is a Martlet coordination server.")
    case "/.well-known/openid-configuration": return Answer.json(200, machines.tokens.configuration)
    case "/.well-known/jwks.json": return Answer.json(200, machines.tokens.keySet)
    case "/robots.txt": return Answer.text(200, "User-agent: *\nDisallow: /")
    default:
      let segments = target.segments
      switch (segments.count, segments.first) {
      case (2, "register"?): return await loginPage(segments[1])
      case (2, "auth"?): return await checkPage(segments[1])
      default: return Answer.text(404, "There is nothing here.")
      }
    }
  }

  /// `GET /key?v=N`: what clients prove us by.
  private func serverKey(_ target: RequestTarget) -> HTTPResponse {
    guard let text = target.value("v"), let version = Int(text), version > 0 else {
      return Answer.text(400, "Say which version you speak: /key?v=NUMBER.")
    }
    guard version >= TailnetOptions.minimumCapabilityVersion else {
      return Answer.text(400, MachineEndpoint.tooOld(version))
    }
    return Answer.json(200, ServerKeys(publicKey: key.publicKey).json)
  }

  private func health() async -> HTTPResponse {
    // The reason stands in the log; here it would only be told to strangers.
    let isWell = (try? await coordinator.check()) != nil
    let body = isWell ? #"{"status":"pass"}"# : #"{"status":"fail"}"#
    return Answer.bytes(isWell ? 200 : 500, "application/health+json", Array(body.utf8))
  }

  /// `POST /verify`: whether a relay may admit a client, by its key.
  ///
  /// Whoever knows a key may ask.
  private func verify(_ body: [UInt8]) async -> HTTPResponse {
    guard body.count <= Self.maximumQuestion, let key = Self.key(inQuestion: body) else {
      return Answer.text(400, "Name a client: {\"NodePublic\": \"nodekey:...\"}.")
    }
    let isMember = await coordinator.isMember(key)
    return Answer.json(200, (["Allow": .bool(isMember)] as JSONValue).json)
  }

  private static func key(inQuestion json: [UInt8]) -> NodeKey? {
    var key: NodeKey?
    do throws(JSONError) {
      try JSONReader.read(json) { (reader) throws(JSONError) in
        try reader.fields { (name, reader) throws(JSONError) in
          if name == "NodePublic" { key = NodeKey(try reader.string()) } else { try reader.skip() }
        }
      }
    } catch { return nil }
    return key
  }

  private func versionAnswer() -> HTTPResponse {
    Answer.json(200, (["version": .string(version)] as JSONValue).json)
  }

  private func loginPage(_ text: Substring) async -> HTTPResponse {
    guard let id = LoginID(text) else { return Answer.html(400, LoginPage.unknown) }
    let login = await coordinator.read { tailnet, _ in tailnet.logins[id] }
    guard let login else { return Answer.html(404, LoginPage.unknown) }
    guard login.verdict == .pending else {
      return Answer.html(200, LoginPage.decided(login.verdict))
    }
    if let logins { return await logins.begin(.machine(id)) }
    return Answer.html(200, LoginPage.waiting(login))
  }

  /// The page of a session of SSH that waits for its user.
  private func checkPage(_ text: Substring) async -> HTTPResponse {
    guard let id = CheckID(text) else { return Answer.html(400, LoginPage.unknown) }
    let found = await coordinator.read { tailnet, _ in tailnet.waitingCheck(id) }
    guard let (check, source, target) = found else { return Answer.html(404, LoginPage.unknown) }
    if let logins { return await logins.begin(.check(id)) }
    return Answer.html(200, LoginPage.checking(check, (source, target)))
  }

  /// What `POST /register/confirm/ID` or `POST /auth/confirm/ID` is about.
  private func confirmation(_ target: RequestTarget) -> LoginFlows.Subject? {
    let segments = target.segments
    guard segments.count == 3, segments[1] == "confirm" else { return nil }
    switch segments[0] {
    case "register": return LoginID(segments[2]).map { .machine($0) }
    case "auth": return CheckID(segments[2]).map { .check($0) }
    default: return nil
    }
  }

  // MARK: The way in

  /// `POST /ts2021`: answers the handshake and goes on as HTTP/2 inside it.
  private func upgrade(_ request: HTTPRequest) -> HTTPResponse {
    guard request.method == "POST" || request.method == "GET" else {
      return Answer.text(405, "Only POST is answered here.")
    }
    guard request.headers["Upgrade"]?.lowercased() == ControlHandshake.upgradeProtocol else {
      return Answer.text(
        400,
        "This address upgrades to '\(ControlHandshake.upgradeProtocol)'. If you see this through a "
          + "reverse proxy, have it pass the Upgrade header."
      )
    }
    return accept(request.headers[ControlHandshake.headerName]) { accepted in
      HTTPResponse(
        status: 101,
        headers: HTTPHeaders(),
        body: .upgrade(protocol: ControlHandshake.upgradeProtocol) { stream in
          await serve(stream, accepted)
        }
      )
    }
  }

  /// `GET /ts2021` as a WebSocket, for clients in browsers, which can set no header: the handshake
  /// stands in the query.
  private func webSocket(_ request: HTTPRequest, _ target: RequestTarget) -> HTTPResponse {
    accept(target.value(ControlHandshake.headerName)) { accepted in
      .webSocket(answering: request, speaking: ControlHandshake.upgradeProtocol) { stream in
        // These clients take HTTP/2 only.
        await serve(stream, accepted, isChallenged: false)
      }
    }
  }

  /// Checks the handshake, and answers as `answer` says where it is right.
  private func accept(
    _ handshake: String?,
    _ answer: (ControlHandshake.Accepted) -> HTTPResponse
  ) -> HTTPResponse {
    guard let handshake, let initiation = Base64.decode(handshake) else {
      return Answer.text(400, "The handshake is missing or not base64.")
    }
    guard connections.hasRoom else {
      return Answer.text(503, "Too many machines are connected. Try again.")
    }
    do {
      let accepted = try ControlHandshake.Responder(privateKey: key).accept(initiation)
      guard accepted.version >= TailnetOptions.minimumCapabilityVersion else {
        return Answer.text(400, MachineEndpoint.tooOld(Int(accepted.version)))
      }
      return answer(accepted)
    } catch {
      return Answer.text(400, "The handshake is not for this server's key, or damaged.")
    }
  }

  private func serve(
    _ stream: ByteStream,
    _ accepted: ControlHandshake.Accepted,
    isChallenged: Bool = true
  ) async {
    // Counted from here on: whoever left before the answer went out took no place.
    guard connections.enter() else { return await stream.close() }
    defer { connections.leave() }
    await machines.serve(stream, accepted, isChallenged: isChallenged)
  }
}
