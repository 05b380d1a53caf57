// SPDX-License-Identifier: Apache-2.0

import Addressing
import Bytes
import Cryptography
import DERP
import Foundation
import HTTPTransport
import HostIO
import Keys
import Logging
import RelayServer
import Testing
import Timing

let quiet = Logger(label: "relay", factory: { _ in SwiftLogNoOpLogHandler() })

let loopback = Endpoint(IPAddress(127, 0, 0, 1), port: 0)

extension RelayOptions {
  /// A relay on a port of the loopback that the operating system chooses.
  static func local(
    _ certificate: Certificate = .none,
    on endpoint: Endpoint = loopback,
    hostname: String = "127.0.0.1"
  ) -> RelayOptions {
    RelayOptions(listen: [endpoint], hostname: hostname, certificate: certificate)
  }

  func with(_ change: (inout RelayOptions) -> Void) -> RelayOptions {
    var options = self
    change(&options)
    return options
  }
}

/// Runs a relay as long as `body` does.
func withRelay(
  _ options: RelayOptions = .local(),
  _ body: (RelayServer) async throws -> Void
) async throws {
  let relay = try RelayServer(options: options, logger: quiet)
  try await relay.start()
  do {
    try await body(relay)
  } catch {
    await relay.shutdown()
    throw error
  }
  await relay.shutdown()
}

/// Runs with a directory that is gone afterwards.
func withDirectory(_ body: (String) async throws -> Void) async throws {
  let path = NSTemporaryDirectory() + "/relay-\(UUID().uuidString)"
  defer { try? FileManager.default.removeItem(atPath: path) }
  try await body(path)
}

func someKey() -> NodePrivateKey {
  var entropy = Entropy.system
  return NodePrivateKey.generate(using: &entropy)
}

extension RelayServer {
  /// A connection on which nothing was said yet.
  func dial() async throws -> ByteStream {
    let endpoint = try #require(endpoints.first)
    return try await Dialer().dial(
      host: endpoint.address.description,
      port: endpoint.port,
      tls: certificateSHA256.map { .pinned(sha256: $0, hostname: nil) }
    )
  }

  /// A connection that was upgraded, with the answer to the upgrade.
  func dialUpgraded() async throws -> (ByteStream, HTTPHeaders) {
    let stream = try await dial()
    let headers = try await HTTPClient.upgrade(
      stream,
      host: "relay",
      path: "/derp",
      protocol: "DERP"
    )
    return (stream, headers)
  }
}

let fastStartRequest = Array(
  "GET /derp HTTP/1.1\r\nHost: relay\r\nUpgrade: DERP\r\nConnection: Upgrade\r\nDerp-Fast-Start: 1\r\n\r\n"
    .utf8
)

extension ByteStream {
  /// Everything until the connection ends in whatever way.
  func readToEnd() async -> [UInt8] {
    var all: [UInt8] = []
    // A cut connection has ended, too.
    while let bytes = try? await read() { all += bytes }
    return all
  }

  /// At least so many bytes, or fewer where the connection ends.
  func read(atLeast count: Int) async throws -> [UInt8] {
    var all: [UInt8] = []
    while all.count < count, let bytes = try await read() { all += bytes }
    return all
  }
}

/// A client of a relay: our own session over a real connection.
struct TestClient {
  let stream: ByteStream
  let key: NodeKey
  private(set) var events: [ClientSession.Event] = []
  /// What the relay told of itself.
  private(set) var info: ServerInfo?
  private var session: ClientSession

  /// Connects and waits until it is admitted.
  init(
    to relay: RelayServer,
    as privateKey: NodePrivateKey = someKey(),
    isHome: Bool = false,
    info: ClientInfo = ClientInfo()
  ) async throws {
    let stream = try await relay.dial()
    let serverKey = FastStart.serverKey(inCertificates: stream.peerCertificates)
    if serverKey == nil {
      _ = try await HTTPClient.upgrade(stream, host: "relay", path: "/derp", protocol: "DERP")
    }
    try await self.init(
      over: stream,
      serverKey: serverKey,
      saying: serverKey == nil ? [] : fastStartRequest,
      as: privateKey,
      isHome: isHome,
      info: info
    )
  }

  /// Introduces itself over a connection, after some bytes, and waits until it is admitted.
  init(
    over stream: ByteStream,
    serverKey: NodeKey?,
    saying first: [UInt8] = [],
    as privateKey: NodePrivateKey = someKey(),
    isHome: Bool = false,
    info: ClientInfo = ClientInfo()
  ) async throws {
    (self.stream, key) = (stream, privateKey.publicKey)
    var effects = ClientSession.Effects()
    session = ClientSession(
      privateKey: privateKey,
      serverKey: serverKey,
      isHome: isHome,
      info: info,
      entropy: .system,
      at: MonotonicClock.now(),
      into: &effects
    )
    try await stream.write(first + effects.output)
    let event = try await next()
    guard case .connected(let info) = event else {
      throw NotAdmitted(event: event)
    }
    self.info = info
  }

  struct NotAdmitted: Error { let event: ClientSession.Event? }

  /// The next thing that happens; nil when the relay ended the connection.
  mutating func next() async throws -> ClientSession.Event? {
    while events.isEmpty {
      guard let bytes = try await stream.read() else { return nil }
      var effects = ClientSession.Effects()
      try session.receive(bytes, at: MonotonicClock.now(), into: &effects)
      events += effects.events
      if !effects.output.isEmpty { try await stream.write(effects.output) }
    }
    return events.removeFirst()
  }

  /// Everything that happens until the relay ends the connection.
  mutating func untilEnd() async -> [ClientSession.Event] {
    var all: [ClientSession.Event] = []
    // A cut connection has ended, too.
    while let event = try? await next() { all.append(event) }
    return all
  }

  mutating func send(_ packet: [UInt8], to other: NodeKey) async throws {
    var effects = ClientSession.Effects()
    let sending = session.send(packet[...], to: other, at: MonotonicClock.now(), into: &effects)
    #expect(sending == .sent)
    try await stream.write(effects.output)
  }

  /// Sends bytes as they are.
  func say(_ bytes: [UInt8]) async throws { try await stream.write(bytes) }

  /// Returns once the relay has taken all that was sent before; other events are kept.
  mutating func settle() async throws {
    var effects = ClientSession.Effects()
    session.ping(0x5E77_1E00, into: &effects)
    try await stream.write(effects.output)
    var others: [ClientSession.Event] = []
    while let event = try await next() {
      if event == .pong(0x5E77_1E00) { break }
      others.append(event)
    }
    events = others + events
  }

  /// Expects a packet to arrive.
  mutating func expect(
    _ packet: [UInt8],
    from other: NodeKey,
    sourceLocation: SourceLocation = #_sourceLocation
  ) async throws {
    let event = try await next()
    #expect(event == .packet(from: other, packet), sourceLocation: sourceLocation)
  }
}

/// A packet that looks like a discovery message.
func disco(_ number: UInt8) -> [UInt8] {
  [0x54, 0x53, 0xF0, 0x9F, 0x92, 0xAC] + [UInt8](repeating: number, count: 80)
}

/// A packet that does not, numbered.
func bulk(_ number: Int, size: Int = 1400) -> [UInt8] {
  var writer = ByteWriter(capacity: 8)
  writer.bigEndian(UInt64(number))
  return writer.bytes + [UInt8](repeating: 0xB0, count: size - 8)
}

/// The number of a packet that `bulk` made; nil when it is another.
func number(of packet: [UInt8]) -> Int? {
  guard packet.count > 8, packet[8] == 0xB0 else { return nil }
  return packet.prefix(8).reduce(0) { $0 << 8 | Int($1) }
}
