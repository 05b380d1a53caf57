// SPDX-License-Identifier: Apache-2.0

internal import Bytes
internal import ControlProtocol
internal import Coordination
internal import CoordinationStore
internal import Cryptography
internal import HTTPTransport
internal import JSON
internal import Keys
internal import Logging
internal import Timing

/// What a machine can ask inside its Noise connection.
struct MachineEndpoint: Sendable {
  let coordinator: Coordinator
  let logger: Logger
  let turnstile: Turnstile
  /// How much nodes may report at a time.
  let reports = RefusalBudget()
  /// Proves to others who nodes are.
  let tokens: TokenIssuer

  /// Requests of the protocol that this server does not serve yet.
  private static let absent: Set<String> = [
    "/machine/set-dns", "/machine/tka",
  ]

  static func tooOld(_ version: Int) -> String {
    "This server speaks version \(TailnetOptions.minimumCapabilityVersion) of the protocol and "
      + "later, you speak \(version). Update the client."
  }

  /// Speaks with one machine until its connection ends; `isChallenged` says whether it is told a
  /// key before HTTP/2 begins.
  func serve(
    _ stream: ByteStream,
    _ accepted: ControlHandshake.Accepted,
    isChallenged: Bool
  ) async {
    var cipher = accepted.cipher
    do {
      let early = isChallenged ? try cipher.seal(Self.challenge()) : []
      try await stream.write(accepted.response + early)
      let machine = accepted.machineKey
      let idleness = Idleness(of: stream, limit: Limits.idle)
      try await serveHTTP2(over: stream, cipher: cipher, limits: Limits.http) { request in
        await idleness.watch { await answer(request, from: machine, over: stream) }
      }
    } catch {
      logger.debug(
        "a machine's connection ended",
        metadata: ["machine": "\(accepted.machineKey.short)", "reason": "\(error)"]
      )
    }
    await stream.close()
  }

  private static func challenge() -> [UInt8] {
    var entropy = Entropy.system
    let key = NodePrivateKey.generate(using: &entropy).publicKey
    return ChallengeKey(bytes: key.bytes).map { EarlyNoise(nodeKeyChallenge: $0).payload } ?? []
  }

  func answer(
    _ request: HTTPRequest,
    from machine: MachineKey,
    over stream: ByteStream?
  ) async -> HTTPResponse {
    guard let target = RequestTarget(request.path) else {
      return Answer.text(400, "The address of the request cannot be read.")
    }
    switch (request.method, target.path) {
    case ("POST", "/machine/register"): return await register(request.body, from: machine)
    case ("POST", "/machine/map"): return await map(request.body, from: machine, over: stream)
    case (_, "/machine/register"), (_, "/machine/map"):
      return Answer.text(405, "Only POST is answered here.")
    case ("PATCH", "/machine/set-device-attr"), ("POST", "/machine/set-device-attr"):
      return await setAttributes(request.body, from: machine)
    case (_, "/machine/set-device-attr"):
      return Answer.text(405, "Only PATCH is answered here.")
    case ("GET", let path) where path.hasPrefix("/machine/ssh/action/"):
      return await session(target, from: machine)
    case ("POST", "/machine/id-token"): return await idToken(request.body, from: machine)
    case (_, "/machine/ping-response"): return await sign(target, from: machine)
    case ("POST", let path) where path.hasPrefix("/machine/c2n/"):
      return await answered(target, request.body, from: machine)
    case ("POST", let path) where path.hasPrefix("/machine/webclient/"):
      return await webSession(target, from: machine)
    case (_, "/machine/update-health"): return Answer.empty(204)
    case ("GET", "/machine/whoami"): return await whoAmI(machine)
    case ("POST", "/machine/audit-log"): return await auditLog(request.body, from: machine)
    case ("POST", "/machine/feature/query"): return await queryFeature(request.body, from: machine)
    case (_, "/machine/whoami"), (_, "/machine/audit-log"), (_, "/machine/feature/query"),
      (_, "/machine/id-token"):
      return Answer.text(405, "This is answered to another method.")
    case (_, let path) where Self.absent.contains { path == $0 || path.hasPrefix($0 + "/") }:
      return Answer.text(501, "This server does not serve \(NodeName.printable(path)).")
    default: return Answer.text(404, "There is nothing here.")
    }
  }

  // MARK: Register

  private func register(_ body: [UInt8], from machine: MachineKey) async -> HTTPResponse {
    let request: RegisterRequest
    do {
      request = try RegisterRequest(json: body)
      try Limits.check(request.hostinfo)
    } catch { return Answer.text(400, "The request cannot be read: \(error)") }
    guard request.version >= TailnetOptions.minimumCapabilityVersion else {
      return Answer.text(400, Self.tooOld(request.version))
    }
    do {
      while true {
        let outcome = try await coordinator.perform { tailnet, now, entropy, effects in
          tailnet.register(request, from: machine, at: now, using: &entropy, into: &effects)
        }
        switch outcome {
        case .answer(let response):
          log(response, to: request, from: machine)
          return Answer.json(200, response.json)
        case .malformed(let reason): return Answer.text(400, reason)
        case .wait(let id):
          await coordinator.waitForVerdict(on: id)
          try Task.checkCancellation()
        }
      }
    } catch { return unavailable(error) }
  }

  private func log(
    _ response: RegisterResponse,
    to request: RegisterRequest,
    from machine: MachineKey
  ) {
    let metadata: Logger.Metadata = [
      "machine": "\(machine.short)", "node": "\(request.nodeKey.short)",
      "hostname": "\(NodeName.printable(request.hostinfo?.hostname ?? ""))",
    ]
    if !response.error.isEmpty {
      logger.notice("refused a registration", metadata: metadata)
    } else if !response.authURL.isEmpty {
      logger.info("a machine waits for approval", metadata: metadata)
    } else {
      logger.info("registered a node", metadata: metadata)
    }
  }

  // MARK: Map

  private func map(
    _ body: [UInt8],
    from machine: MachineKey,
    over connection: ByteStream?
  ) async -> HTTPResponse {
    let request: MapRequest
    do {
      request = try MapRequest(json: body)
      try Limits.check(request.hostinfo)
    } catch { return Answer.text(400, "The request cannot be read: \(error)") }
    guard request.version >= TailnetOptions.minimumCapabilityVersion else {
      return Answer.text(400, Self.tooOld(request.version))
    }
    guard request.compress.isEmpty || request.compress == "zstd" else {
      return Answer.text(400, "Only zstd is known as Compress.")
    }
    do {
      let outcome = try await coordinator.perform { tailnet, now, _, effects in
        tailnet.update(by: request, from: machine, at: now, into: &effects)
      }
      switch outcome {
      case .malformed(let reason): return Answer.text(400, reason)
      case .unknownNode:
        return Answer.text(404, "No such node is registered by this machine. Log in again.")
      case .accepted(let node):
        if request.stream {
          return stream(to: node, compressed: request.compress == "zstd", over: connection)
        }
        guard !request.omitPeers else { return Answer.empty(200) }
        return await wholeMap(for: node, compressed: request.compress == "zstd")
      }
    } catch { return unavailable(error) }
  }

  private func wholeMap(for node: NodeID, compressed: Bool) async -> HTTPResponse {
    let pieces = await turnstile.pass {
      await coordinator.wholeMap(for: node, compressed: compressed)?.encoded()
    }
    guard let pieces else { return Answer.text(404, "The node is gone.") }
    return Answer.bytes(200, "application/json", Array(pieces.joined()))
  }

  private func stream(
    to node: NodeID,
    compressed: Bool,
    over connection: ByteStream?
  ) -> HTTPResponse {
    HTTPResponse(
      status: 200,
      headers: Answer.headers("application/json"),
      body: .stream { writer in
        try await serveMap(to: node, compressed: compressed, over: connection, into: writer)
      }
    )
  }

  /// Everything first, then what changes, and a sign of life when nothing does.
  private func serveMap(
    to node: NodeID,
    compressed: Bool,
    over connection: ByteStream?,
    into writer: HTTPBodyWriter
  ) async throws {
    guard let stream = await beginMap(to: node, compressed, over: connection, into: writer) else {
      return
    }
    do {
      for await _ in stream.wakes {
        switch try await coordinator.nextMessage(of: stream) {
        case .nothing: continue
        case .frame(let bytes): try await writer.write(bytes)
        case .keepAlive: try await writer.write(KeepAliveFrame.bytes(compressed: compressed))
        }
        await coordinator.didWrite(stream)
      }
    } catch { log(error, endedMapOf: node) }
    await coordinator.closeStream(stream)
  }

  /// Opens a stream and says everything; nil when there is nothing to go on with.
  ///
  /// A function of its own, so that a stream that lives for days does not hold the first map as long.
  private func beginMap(
    to node: NodeID,
    _ compressed: Bool,
    over connection: ByteStream?,
    into writer: HTTPBodyWriter
  ) async -> MapStream? {
    let beginning = await turnstile.pass { () -> (MapStream, [[UInt8]])? in
      let abort: @Sendable () -> Void = { connection?.abort() }
      guard
        let (stream, map) = await coordinator.openStream(
          of: node,
          compressed: compressed,
          abort: abort
        )
      else { return nil }
      return (stream, await map.encoded())
    }
    guard let (stream, pieces) = beginning else { return nil }
    do {
      try await WholeMap.write(pieces) { try await writer.write($0) }
      await coordinator.didWrite(stream)
      return stream
    } catch {
      log(error, endedMapOf: node)
      await coordinator.closeStream(stream)
      return nil
    }
  }

  private func log(_ error: any Error, endedMapOf node: NodeID) {
    logger.debug("a map stream ended", metadata: ["node": "\(node)", "reason": "\(error)"])
  }

  // MARK: Sessions of SSH

  /// Answers `GET /machine/ssh/action/SOURCE/to/TARGET?local_user=NAME&auth_id=ID`.
  private func session(_ target: RequestTarget, from machine: MachineKey) async -> HTTPResponse {
    let path = target.segments
    guard path.count == 6, path[4] == "to", let source = Int64(path[3]),
      let place = Int64(path[5])
    else { return Answer.text(404, "There is nothing here.") }
    let login = target.value("local_user") ?? ""
    let check = target.value("auth_id").flatMap { CheckID($0) }
    do {
      while true {
        let outcome = try await coordinator.perform { tailnet, now, entropy, effects in
          tailnet.refreshAccess(at: now, into: &effects)
          return tailnet.session(
            from: NodeID(source),
            to: NodeID(place),
            as: login,
            check: check,
            for: machine,
            at: now,
            using: &entropy,
            into: &effects
          )
        }
        switch outcome {
        case .action(let action): return Answer.json(200, action.json)
        case .foreign: return Answer.text(401, "This session is not this machine's.")
        case .unknown: return Answer.text(404, "No rule asks for a check of this session.")
        case .wait(let id):
          await coordinator.waitForVerdict(on: id)
          try Task.checkCancellation()
        }
      }
    } catch { return unavailable(error) }
  }

  // MARK: Posture

  private func setAttributes(_ body: [UInt8], from machine: MachineKey) async -> HTTPResponse {
    let request: SetDeviceAttributesRequest
    do {
      request = try SetDeviceAttributesRequest(json: body)
    } catch { return Answer.text(400, "The request cannot be read: \(error)") }
    do {
      try await coordinator.perform { (tailnet, now, _, effects) throws(Refusal) in
        // Whether the node may is a question of the policy as it stands.
        tailnet.refreshAccess(at: now, into: &effects)
        try tailnet.setOwnAttributes(request, from: machine, at: now, into: &effects)
      }
      return Answer.json(200, Array("{}".utf8))
    } catch let refusal as Refusal {
      return Answer.text(refusal.status, refusal.message)
    } catch { return unavailable(error) }
  }

  func unavailable(_ error: any Error) -> HTTPResponse {
    // The machine went away while it waited; nobody is left to be answered.
    if error is CancellationError { return Answer.empty(503) }
    logger.warning("a request failed", metadata: ["reason": "\(error)"])
    return Answer.text(503, "The server cannot write to its database now. Try again.")
  }
}

/// The keep-alive message, made once: clients compare its bytes.
private enum KeepAliveFrame {
  static func bytes(compressed: Bool) -> [UInt8] { compressed ? small : plain }

  private static let small = MapFrame.encode(MapFrame.keepAliveJSON, compressed: true)
  private static let plain = MapFrame.encode(MapFrame.keepAliveJSON, compressed: false)
}

/// What one machine may make us keep.
enum Limits {
  /// What its connection may carry at a time.
  static var http: HTTPLimits {
    var limits = HTTPLimits()
    limits.maximumConcurrentStreams = 16
    return limits
  }

  /// How long its connection may stand open while it asks nothing.
  static let idle = Duration.seconds(150)

  /// The largest Hostinfo, as JSON.
  static let maximumHostinfo = 64 * 1024

  struct TooLarge: Error, CustomStringConvertible {
    var description: String { "Hostinfo is larger than \(maximumHostinfo) bytes" }
  }

  static func check(_ hostinfo: Hostinfo?) throws(TooLarge) {
    guard let hostinfo else { return }
    guard hostinfo.json.count <= maximumHostinfo else { throw TooLarge() }
  }
}
