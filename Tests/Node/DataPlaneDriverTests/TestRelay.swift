// SPDX-License-Identifier: Apache-2.0

import Addressing
import Bytes
import Cryptography
import DERP
import HTTPTransport
import HostIO
import Keys
import Synchronization

/// A relay on a TLS port of the loopback: the switch, and as little around it as works.
///
/// Connections are made by the threads that all share, so it serves nodes in any namespace.
final class TestRelay: Sendable {
  private struct State {
    var relay = RelaySwitch(entropy: .system)
    var streams: [RelaySwitch.ClientID: ByteStream] = [:]
    var effects = RelaySwitch.Effects()
    var fastStarts = 0
    var probes = 0
    var isMute = false
  }

  static let region = RegionID(901)
  private let state = Mutex(State())
  private let handshake: RelayHandshake
  private let server = Mutex<HTTPServer?>(nil)
  private let tellsKey: Bool
  private let port = Mutex<UInt16>(0)

  init(tellsKey: Bool = false) throws {
    self.tellsKey = tellsKey
    guard let bytes = Hex.decode(RelayCertificate.privateKey),
      let key = NodePrivateKey(bytes: bytes)
    else { preconditionFailure("the key of the tests can be read") }
    handshake = RelayHandshake(privateKey: key)
  }

  /// Ports that the kernel gives to nobody who dials: while the relay is stopped its port stays free.
  private static let ports: ClosedRange<UInt16> = 20_000...29_999
  private static let attempts = 20

  /// Starts listening, on the same port as before if it did.
  func start() async throws {
    let before = port.withLock(\.self)
    for attempt in 1...Self.attempts {
      let wanted = before == 0 ? UInt16.random(in: Self.ports) : before
      do {
        let started = try await listen(wanted)
        port.withLock { $0 = wanted }
        return server.withLock { $0 = started }
      } catch let error as HTTPTransportError
        where error.reason == .inUse && before == 0 && attempt < Self.attempts
      {
        continue
      }
    }
  }

  private func listen(_ port: UInt16) async throws -> HTTPServer {
    let chain = RelayCertificate.own + (tellsKey ? "\n" + RelayCertificate.tellingKey : "")
    return try await HTTPServer.start(
      on: [.tcp(Endpoint(IPAddress(127, 0, 0, 1), port: port))],
      tls: try TLSServerSettings(certificatePEM: chain, keyPEM: RelayCertificate.key),
      handler: { [self] in answer($0) }
    )
  }

  /// Stops, breaking all connections.
  func stop() async {
    let stopped = server.withLock { $0.take() }
    await stopped?.shutdown()
  }

  /// Drops whatever comes from now on, connections kept: a relay that hangs.
  func mute() { state.withLock { $0.isMute = true } }

  var counters: RelayCounters { state.withLock(\.relay.counters) }
  var fastStarts: Int { state.withLock(\.fastStarts) }
  var probes: Int { state.withLock(\.probes) }

  /// The relay as it stands in a relay map, perhaps with another pin, or with STUN that nobody answers.
  func map(pin: String = RelayCertificate.pin, stunPort: Int = -1) -> RelayMap {
    let node = RelayNode(
      name: "901a",
      regionID: Self.region,
      hostName: "relay.test",
      certName: "sha256-raw:\(pin)",
      ipv4: "127.0.0.1",
      ipv6: "none",
      stunPort: stunPort,
      derpPort: Int(port.withLock(\.self))
    )
    return RelayMap(
      regions: [Self.region: RelayRegion(id: Self.region, code: "test", nodes: [node])]
    )
  }

  private func answer(_ request: HTTPRequest) -> HTTPResponse {
    if request.path == "/derp/latency-check" {
      state.withLock { $0.probes += 1 }
      return HTTPResponse(status: 200)
    }
    guard request.path == "/derp" else { return HTTPResponse(status: 404) }
    guard request.headers[FastStart.header] == "1" else {
      return HTTPResponse(
        status: 101,
        body: .upgrade(protocol: "DERP") { [self] in await serve($0) }
      )
    }
    state.withLock { $0.fastStarts += 1 }
    return HTTPResponse(status: 101, body: .takeover { [self] in await serve($0) })
  }

  private func serve(_ stream: ByteStream) async {
    var decoder = FrameDecoder(for: .strangersRelay)
    var client: RelaySwitch.ClientID?
    do {
      try await stream.write(handshake.greeting.bytes)
      while let bytes = try await stream.read() {
        decoder.append(bytes)
        while let frame = try decoder.next() {
          if let client {
            receive(frame, from: client)
          } else if case .clientInfo(let key, let sealed) = frame {
            guard let admitted = handshake.open(key, sealed: sealed) else { return stream.abort() }
            var entropy = Entropy.system
            try await stream.write(handshake.welcome(admitted.key, using: &entropy).bytes)
            decoder.receiver = .relay
            client = add(admitted.key, stream)
          }
        }
      }
    } catch {
      // The client left, or was made to.
    }
    if let client { remove(client) }
  }

  private func add(_ key: NodeKey, _ stream: ByteStream) -> RelaySwitch.ClientID {
    perform { state in
      let id = state.relay.add(key, at: MonotonicClock.now(), into: &state.effects)
      state.streams[id] = stream
      return id
    }
  }

  private func receive(_ frame: Frame, from client: RelaySwitch.ClientID) {
    perform { state in
      guard !state.isMute else { return }
      state.relay.receive(frame, from: client, at: MonotonicClock.now(), into: &state.effects)
    }
  }

  private func remove(_ client: RelaySwitch.ClientID) {
    perform { state in
      state.relay.remove(client, at: MonotonicClock.now(), into: &state.effects)
      state.streams[client] = nil
    }
  }

  private func perform<Value: Sendable>(_ body: (inout sending State) -> Value) -> Value {
    state.withLock { state in
      let value = body(&state)
      for closing in state.effects.close { state.streams[closing.id]?.abort() }
      for id in state.effects.ready {
        var output: [UInt8] = []
        while state.relay.takeOutput(of: id, upTo: 1 << 16, into: &output) {}
        // What does not fit is lost: the tunnel bears it.
        _ = state.streams[id]?.offer(output)
      }
      state.effects.removeAll()
      return value
    }
  }
}
