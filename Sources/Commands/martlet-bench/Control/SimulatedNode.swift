// SPDX-License-Identifier: Apache-2.0

import Addressing
import Bytes
import CommandLine
import ControlProtocol
import Cryptography
import HTTPTransport
import JSON
import Keys
import Synchronization

/// A node that speaks with the server as a daemon does, and only counts what it is told.
final class SimulatedNode: Sendable {
  /// One node in so many reads its whole maps.
  private static let readers = 97
  /// What a daemon waits for an answer at most.
  private static let patience = Duration.seconds(120)

  let number: Int
  private let server: ControlTarget
  private let board: ControlBoard
  private let machineKey: MachinePrivateKey
  private let nodeKey: NodeKey
  private let discoKey: DiscoKey
  private let link = Mutex(Link())

  private struct Link {
    var connection: HTTP2Connection?
    var reader: Task<Void, Never>?
  }

  init(_ number: Int, server: ControlTarget, board: ControlBoard) {
    var entropy = Entropy.system
    (self.number, self.server, self.board) = (number, server, board)
    machineKey = .generate(using: &entropy)
    nodeKey = NodePrivateKey.generate(using: &entropy).publicKey
    discoKey = DiscoPrivateKey.generate(using: &entropy).publicKey
  }

  /// Connects, registers, and begins to follow the map.
  func join(with key: String) async throws {
    try await connect()
    var request = RegisterRequest(version: CapabilityVersion.current, nodeKey: nodeKey)
    request.hostinfo = hostinfo
    request.auth = RegisterAuth(authKey: key)
    let (status, body) = try await call("/machine/register", request.json)
    guard status == 200 else { throw CommandError("node \(number): register answered \(status)") }
    let response = try RegisterResponse(json: body)
    guard response.machineAuthorized else {
      throw CommandError("node \(number): the server refused it: \(response.error)")
    }
    try await tell(port: 41_641)
    try await follow()
  }

  /// Connects anew, as after the server or the network was gone, and follows the map.
  func comeBack() async throws {
    try await connect()
    try await tell(port: 41_641)
    try await follow()
  }

  /// Tells where the node may be reached.
  func tell(port: UInt16) async throws {
    var request = mapRequest
    request.omitPeers = true
    request.endpoints = [
      Endpoint(address, port: port), Endpoint(IPAddress(10, 1, 2, 3), port: 41_641),
      Endpoint(IPAddress(172, 17, 0, 1), port: 41_641),
    ]
    request.endpointTypes = [2, 1, 1]
    let (status, _) = try await call("/machine/map", request.json)
    guard status == 200 else { throw CommandError("node \(number): an update answered \(status)") }
  }

  /// Where it is reached from outside; different for each node.
  private var address: IPAddress {
    IPAddress(203, 0, UInt8(number >> 8 & 255), UInt8(number & 255))
  }

  /// The text of the endpoint that `tell(port:)` tells.
  func endpoint(port: UInt16) -> String { "\"\(Endpoint(address, port: port))\"" }

  /// Ends the connection without a word.
  func cut() async {
    let (connection, reader) = link.withLock { link in
      defer { link = Link() }
      return (link.connection, link.reader)
    }
    reader?.cancel()
    await connection?.close()
  }

  // MARK: The wire

  private func connect() async throws {
    let initiator = try ControlHandshake.Initiator(
      machineKey: machineKey,
      serverKey: server.publicKey,
      version: UInt16(CapabilityVersion.current)
    )
    let stream = try await Dialer().dial(
      host: "127.0.0.1",
      port: server.port,
      timeout: Self.patience
    )
    _ = try await HTTPClient.upgrade(
      stream,
      method: "POST",
      host: "127.0.0.1",
      path: "/ts2021",
      headers: [ControlHandshake.headerName: Base64.encode(initiator.initiation)],
      protocol: ControlHandshake.upgradeProtocol,
      timeout: Self.patience
    )
    var received: [UInt8] = []
    while received.count < ControlHandshake.responseCount { received += try await next(stream) }
    var cipher = try initiator.finish(Array(received.prefix(ControlHandshake.responseCount)))
    var early = EarlyNoiseReader()
    var rest = try early.receive(
      cipher.open(Array(received.dropFirst(ControlHandshake.responseCount)))
    )
    while !early.isDone { rest += try early.receive(cipher.open(try await next(stream))) }
    let connection = try await HTTP2Connection.client(over: stream, cipher: cipher, prelude: rest)
    link.withLock { $0.connection = connection }
  }

  private func next(_ stream: ByteStream) async throws -> [UInt8] {
    guard let bytes = try await stream.read() else {
      throw CommandError("node \(number): the server ended the connection")
    }
    return bytes
  }

  private func ask(_ path: String, _ body: [UInt8]) async throws -> HTTPClientResponse {
    guard let connection = link.withLock({ $0.connection }) else {
      throw CommandError("node \(number): there is no connection")
    }
    return try await connection.request(
      "POST",
      host: "control",
      path: path,
      body: body,
      timeout: Self.patience
    )
  }

  private func call(_ path: String, _ body: [UInt8]) async throws -> (Int, [UInt8]) {
    let response = try await ask(path, body)
    return (response.status, try await response.collect(upTo: 1 << 20))
  }

  private func follow() async throws {
    var request = mapRequest
    request.stream = true
    let response = try await ask("/machine/map", request.json)
    guard response.status == 200 else {
      throw CommandError("node \(number): the map answered \(response.status)")
    }
    let isReader = number % Self.readers == 0
    let reader = Task { [board, number] in
      var skimmer = FrameSkimmer(keepsLarge: isReader)
      do {
        while let bytes = try await response.body.next() {
          for message in skimmer.receive(bytes) { note(message) }
        }
        board.failed("node \(number): the server ended the map stream")
      } catch {
        // Cut by ourselves.
        if !Task.isCancelled { board.failed("node \(number): the map stream failed: \(error)") }
      }
    }
    link.withLock { $0.reader = reader }
  }

  private func note(_ message: FrameSkimmer.Message) {
    guard message.isFirst else { return board.delta(at: number, message.body) }
    var peers: Int?
    if number % Self.readers == 0 {
      var decoder = MapFrameDecoder(compressed: true)
      decoder.receive(message.framed)
      do {
        peers = try decoder.next()?.peers.count
      } catch { board.failed("node \(number): its map cannot be read: \(error)") }
    }
    board.map(at: number, bytes: message.count, peers: peers)
  }

  private var mapRequest: MapRequest {
    var request = MapRequest()
    request.version = CapabilityVersion.current
    request.compress = "zstd"
    request.keepAlive = true
    request.nodeKey = nodeKey
    request.discoKey = discoKey
    request.hostinfo = hostinfo
    return request
  }

  private var hostinfo: Hostinfo {
    var hostinfo = Hostinfo()
    hostinfo.ipnVersion = "1.90.9-t1d2f3a4b5"
    hostinfo.backendLogID = String(repeating: "0123456789abcdef", count: 4)
    hostinfo.os = "linux"
    hostinfo.osVersion = "6.1.0-18-amd64"
    hostinfo.distro = "debian"
    hostinfo.distroVersion = "12.5"
    hostinfo.distroCodeName = "bookworm"
    hostinfo.machine = "x86_64"
    hostinfo.goArch = "amd64"
    hostinfo.goVersion = "go1.25"
    hostinfo.hostname = "host\(number)"
    var network = NetInfo()
    network.mappingVariesByDestIP = false
    network.workingIPv6 = true
    network.workingUDP = true
    network.preferredDERP = 1 + number % 4
    network.derpLatency = ["1-v4": 0.0123, "2-v4": 0.0342, "3-v4": 0.0831, "4-v4": 0.1121]
    hostinfo.netInfo = network
    return hostinfo
  }
}

/// Takes the messages of a map stream apart; large ones are counted, not kept.
struct FrameSkimmer {
  struct Message {
    var isFirst: Bool
    var count: Int
    var body: [UInt8]

    /// The message as it was on the wire.
    var framed: [UInt8] {
      (0..<4).map { UInt8(truncatingIfNeeded: body.count >> (8 * $0)) } + body
    }
  }

  private let keepsLarge: Bool
  private var header: [UInt8] = []
  private var body: [UInt8] = []
  private var left = 0
  private var count = 0
  private var isFirst = true

  init(keepsLarge: Bool) { self.keepsLarge = keepsLarge }

  mutating func receive(_ bytes: [UInt8]) -> [Message] {
    var messages: [Message] = []
    var rest = bytes[...]
    while !rest.isEmpty {
      if header.count < 4 {
        header.append(rest.removeFirst())
        guard header.count == 4 else { continue }
        count = header.reversed().reduce(0) { $0 << 8 | Int($1) }
        left = count
      }
      let part = rest.prefix(left)
      if keepsLarge || !isFirst && count <= ControlBoard.maximumDelta { body += part }
      left -= part.count
      rest = rest.dropFirst(part.count)
      guard left == 0 else { continue }
      messages.append(Message(isFirst: isFirst, count: count, body: body))
      (header, body, isFirst) = ([], [], false)
    }
    return messages
  }
}
