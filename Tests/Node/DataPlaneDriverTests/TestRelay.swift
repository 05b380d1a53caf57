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
    var fastStarts = 0
    var probes = 0
    var isMute = false
  }

  static let region = RegionID(901)
  private let state = Mutex(State())
  private let switchboard = Switchboard(entropy: .system)
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
        where error.reason == .inUse && attempt < Self.attempts
      {
        // Another port; or the same, once whoever was given it meanwhile has done with it.
        if before != 0 { try await Task.sleep(for: .milliseconds(200)) }
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

  var counters: RelayCounters { switchboard.counters }
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
    do {
      try await stream.write(handshake.greeting.bytes)
      var decoder = FrameDecoder(for: .strangersRelay)
      while let bytes = try await stream.read() {
        decoder.append(bytes)
        guard case .clientInfo(let key, let sealed) = try decoder.next() else { continue }
        guard let admitted = handshake.open(key, sealed: sealed) else { return stream.abort() }
        var entropy = Entropy.system
        try await stream.write(handshake.welcome(admitted.key, using: &entropy).bytes)
        return try await relay(admitted, stream, decoder)
      }
    } catch {
      // The client left, or was made to.
    }
  }

  private func relay(
    _ admitted: RelayHandshake.Admitted,
    _ stream: ByteStream,
    _ decoder: FrameDecoder
  ) async throws {
    let link = Link(stream, switchboard)
    var effects = RelayEffects()
    let client = switchboard.add(
      RelayClient.Introduction(admitted.key, admitted.info),
      link,
      at: MonotonicClock.now(),
      into: &effects
    )
    link.client.withLock { $0 = client }
    var session = RelaySession(client, switchboard, decoder: decoder)
    do {
      var bytes: [UInt8]? = []
      while let some = bytes {
        if !state.withLock(\.isMute) {
          _ = try session.receive(some, at: MonotonicClock.now(), into: &effects)
          switchboard.settle(&effects)
        }
        bytes = try await stream.read()
      }
    } catch {
      // The client left, or was made to.
    }
    session.end(at: MonotonicClock.now(), into: &effects)
    switchboard.settle(&effects)
  }

  /// Writes what waits for a client.
  private final class Link: RelayConnection {
    let client = Mutex<RelayClient?>(nil)
    private let stream: ByteStream
    private let switchboard: Switchboard

    init(_ stream: ByteStream, _ switchboard: Switchboard) {
      (self.stream, self.switchboard) = (stream, switchboard)
    }

    func outputWaits() {
      guard let client = client.withLock(\.self) else { return }
      var (output, counts) = ([UInt8](), RelayCounters())
      while client.takeOutput(
        upTo: 1 << 16,
        at: MonotonicClock.now(),
        into: &output,
        &counts
      ) {}
      switchboard.add(counts)
      // What does not fit is lost: the tunnel bears it.
      _ = stream.offer(output)
    }

    func end(because reason: RelayClosing) { stream.abort() }
  }
}
