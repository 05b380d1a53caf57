// SPDX-License-Identifier: Apache-2.0

import Addressing
import Bytes
import ControlProtocol
import Coordination
import CoordinationStore
import Cryptography
import Foundation
import HTTPTransport
import JSON
import Keys
import Logging
import Synchronization
import Testing
import Timing

@testable import CoordinationServer

/// A server on loopback, with a clock that runs with the machine's and can be pushed ahead.
struct TestServer: Sendable {
  let server: ControlServer
  let directory: String
  let clock: PushedClock
  var endpoint: Endpoint { server.endpoints[0] }
  var coordinator: Coordinator { server.coordinator }
  var socketPath: String { directory + "/control.sock" }

  static let silent = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

  /// Runs `body` with a fresh server, which is stopped afterwards.
  static func run<Result: Sendable>(
    _ change: @Sendable (inout TailnetOptions) -> Void = { _ in },
    logger: Logger = TestServer.silent,
    maximumMachines: Int = 20_000,
    records: String = "",
    _ body: (TestServer) async throws -> Result
  ) async throws -> Result {
    let directory = NSTemporaryDirectory() + "mt-" + UUID().uuidString
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let server = try await start(
      in: directory,
      change,
      logger: logger,
      maximumMachines: maximumMachines,
      records: records
    )
    do {
      let result = try await body(server)
      await server.server.shutDown()
      return result
    } catch {
      await server.server.shutDown()
      throw error
    }
  }

  static func start(
    in directory: String,
    _ change: @Sendable (inout TailnetOptions) -> Void = { _ in },
    logger: Logger = TestServer.silent,
    maximumMachines: Int = 20_000,
    records: String = ""
  ) async throws -> TestServer {
    let state = try StateDirectory(directory)
    var tailnet = TailnetOptions(url: "http://127.0.0.1:1", domain: "lab.example")
    tailnet.offlineGrace = .milliseconds(100)
    change(&tailnet)
    let clock = PushedClock()
    var options = ServerOptions(
      listen: [Endpoint(IPAddress(127, 0, 0, 1), port: 0)],
      socketPath: directory + "/control.sock",
      stateDirectory: directory,
      tailnet: tailnet,
      version: "test"
    )
    options.maximumMachines = maximumMachines
    options.recordsFile = records
    let server = try await ControlServer(
      options,
      state: state,
      logger: logger,
      clock: { clock.now() }
    )
    return TestServer(server: server, directory: directory, clock: clock)
  }

  /// Pushes the clocks ahead, once all but at most `writing` streams have handed on what they were given.
  ///
  /// A stream that is caught in the midst of a write would seem to have been at it all the time.
  func push(by duration: Duration, writing: Int = 0) async {
    while await coordinator.streams.writing > writing, !Task.isCancelled { await Task.yield() }
    clock.push(by: duration)
  }

  /// A user, made once.
  func user(_ name: String = "alice") async throws -> User {
    if let known = await coordinator.read({ tailnet, _ in
      tailnet.users.values.first { $0.name == name }
    }) {
      return known
    }
    return try await coordinator.perform { (tailnet, now, _, effects) throws(Refusal) in
      try tailnet.createUser(name: name, by: "test", at: now, into: &effects)
    }
  }

  func key(
    reusable: Bool = true,
    ephemeral: Bool = false,
    user: User? = nil
  ) async throws -> String {
    let owner: User
    if let user { owner = user } else { owner = try await self.user() }
    return try await coordinator.perform { (tailnet, now, entropy, effects) throws(Refusal) in
      try tailnet.createKey(
        user: owner.id,
        isReusable: reusable,
        isEphemeral: ephemeral,
        expiry: now.time + .seconds(3600),
        by: "test",
        at: now,
        using: &entropy,
        into: &effects
      ).1.text
    }
  }

  func client(_ hostname: String = "laptop") async throws -> TestClient {
    try await TestClient(hostname, of: self)
  }

  /// A client that has joined with a key.
  func joined(_ hostname: String) async throws -> TestClient {
    let client = try await client(hostname)
    let response = try await client.register(key: try await key())
    #expect(response.error == "" && response.machineAuthorized)
    return client
  }

  func get(_ path: String, method: String = "GET") async throws -> (Int, HTTPHeaders, String) {
    let response = try await HTTPClient().request(method, url: "http://\(endpoint)\(path)")
    let body = try await response.collect(upTo: 1 << 20)
    return (response.status, response.headers, String(decoding: body, as: UTF8.self))
  }

  /// An administrator's call over the socket.
  func admin(
    _ method: String,
    _ path: String,
    _ body: JSONValue? = nil
  ) async throws -> (Int, JSONValue) {
    let response = try await HTTPClient().request(
      method,
      to: .unix(path: socketPath),
      path: "/api/v1/" + path,
      body: body?.json ?? []
    )
    return (response.status, try JSONValue(json: try await response.collect(upTo: 1 << 20)))
  }
}

/// The machine's clocks, pushed ahead by hand.
final class PushedClock: Sendable {
  private let ahead = Mutex((both: Duration.zero, wall: Duration.zero))

  func push(by duration: Duration) { ahead.withLock { $0.both += duration } }

  /// Somebody sets the clock on the wall.
  func pushWall(by duration: Duration) { ahead.withLock { $0.wall += duration } }

  func now() -> Moment {
    let (now, ahead) = (SystemClock.now(), ahead.withLock { $0 })
    return Moment(instant: now.instant + ahead.both, time: now.time + ahead.both + ahead.wall)
  }
}

/// A machine that speaks the protocol: keys, Noise, HTTP/2.
final class TestClient: Sendable {
  let machineKey: MachinePrivateKey
  let nodeKey: NodeKey
  let discoKey: DiscoKey
  let hostname: String
  let connection: HTTP2Connection

  convenience init(
    _ hostname: String,
    of server: TestServer,
    machineKey: MachinePrivateKey? = nil,
    nodeKey: NodeKey? = nil,
    version: UInt16 = UInt16(CapabilityVersion.current)
  ) async throws {
    try await self.init(
      hostname,
      at: server.endpoint.port,
      of: server.server.publicKey,
      machineKey: machineKey,
      nodeKey: nodeKey,
      version: version
    )
  }

  init(
    _ hostname: String,
    at port: UInt16,
    of serverKey: MachineKey,
    machineKey: MachinePrivateKey? = nil,
    nodeKey: NodeKey? = nil,
    version: UInt16 = UInt16(CapabilityVersion.current)
  ) async throws {
    var entropy = Entropy.system
    self.hostname = hostname
    self.machineKey = machineKey ?? .generate(using: &entropy)
    self.nodeKey = nodeKey ?? NodePrivateKey.generate(using: &entropy).publicKey
    discoKey = DiscoPrivateKey.generate(using: &entropy).publicKey
    connection = try await Self.connect(to: serverKey, at: port, as: self.machineKey, version)
  }

  private static func connect(
    to serverKey: MachineKey,
    at port: UInt16,
    as machineKey: MachinePrivateKey,
    _ version: UInt16
  ) async throws -> HTTP2Connection {
    let initiator = try ControlHandshake.Initiator(
      machineKey: machineKey,
      serverKey: serverKey,
      version: version
    )
    let stream = try await Dialer().dial(host: "127.0.0.1", port: port)
    _ = try await HTTPClient.upgrade(
      stream,
      method: "POST",
      host: "127.0.0.1",
      path: "/ts2021",
      headers: [ControlHandshake.headerName: Base64.encode(initiator.initiation)],
      protocol: ControlHandshake.upgradeProtocol
    )
    var received: [UInt8] = []
    while received.count < ControlHandshake.responseCount {
      received += try #require(try await stream.read())
    }
    var cipher = try initiator.finish(Array(received.prefix(ControlHandshake.responseCount)))
    var early = EarlyNoiseReader()
    var rest = try early.receive(
      cipher.open(Array(received.dropFirst(ControlHandshake.responseCount)))
    )
    while !early.isDone {
      rest += try early.receive(cipher.open(try #require(try await stream.read())))
    }
    #expect(early.payload != nil)
    return try await .client(over: stream, cipher: cipher, prelude: rest)
  }

  /// Asks, and returns the status and the whole body.
  func call(
    _ path: String,
    _ body: [UInt8] = [],
    method: String = "POST"
  ) async throws -> (Int, [UInt8]) {
    let response = try await connection.request(
      method,
      host: "unused",
      path: path,
      body: body,
      timeout: nil
    )
    return (response.status, try await response.collect(upTo: 64 << 20))
  }

  func register(
    key: String = "",
    followup: String = "",
    change: (inout RegisterRequest) -> Void = { _ in }
  ) async throws -> RegisterResponse {
    var request = RegisterRequest(version: CapabilityVersion.current, nodeKey: nodeKey)
    request.hostinfo = hostinfo
    request.followup = followup
    if !key.isEmpty { request.auth = RegisterAuth(authKey: key) }
    change(&request)
    let (status, body) = try await call("/machine/register", request.json)
    #expect(status == 200)
    return try RegisterResponse(json: body)
  }

  var hostinfo: Hostinfo {
    var hostinfo = Hostinfo()
    hostinfo.hostname = hostname
    hostinfo.os = "linux"
    return hostinfo
  }

  /// A request that only tells, as clients send it.
  func update(_ change: (inout MapRequest) -> Void = { _ in }) async throws -> Int {
    var request = mapRequest
    request.omitPeers = true
    request.endpoints = [Endpoint(IPAddress(192, 0, 2, 1), port: 41_641)]
    request.endpointTypes = [1]
    change(&request)
    return try await call("/machine/map", request.json).0
  }

  var mapRequest: MapRequest {
    var request = MapRequest()
    request.version = CapabilityVersion.current
    request.compress = "zstd"
    request.keepAlive = true
    request.nodeKey = nodeKey
    request.discoKey = discoKey
    request.hostinfo = hostinfo
    return request
  }

  /// Opens a map stream.
  func stream(_ change: (inout MapRequest) -> Void = { _ in }) async throws -> TestStream {
    var request = mapRequest
    request.stream = true
    change(&request)
    return TestStream(try await openStream(request), compressed: request.compress == "zstd")
  }

  /// The bytes of a map stream as they come.
  func openStream(_ request: MapRequest) async throws -> HTTPClientResponse {
    try await connection.request(
      "POST",
      host: "unused",
      path: "/machine/map",
      body: request.json,
      timeout: nil
    )
  }
}

/// A map stream, message by message.
final class TestStream: @unchecked Sendable {
  // SAFETY: used by one test, one call after the other.
  let status: Int
  private let body: HTTPBodySequence
  private var decoder: MapFrameDecoder

  init(_ response: HTTPClientResponse, compressed: Bool) {
    status = response.status
    body = response.body
    decoder = MapFrameDecoder(compressed: compressed)
  }

  /// The next message; nil at the end.
  func next() async throws -> MapResponse? {
    while true {
      if let message = try decoder.next() { return message }
      guard let bytes = try await body.next() else { return nil }
      decoder.receive(bytes)
    }
  }

  /// The next message for which `isWanted` holds; what comes before is passed over.
  func next(where isWanted: (MapResponse) -> Bool) async throws -> MapResponse {
    while let message = try await next() {
      if isWanted(message) { return message }
    }
    throw StreamEnded()
  }

  func end() { body.cancel() }
}

struct StreamEnded: Error {}
