// SPDX-License-Identifier: Apache-2.0

import Addressing
import DERP
import Foundation
import HTTPTransport
import Keys
import Synchronization
import Testing

@testable import RelayServer

@Suite("Who else is asked", .timeLimit(.minutes(10)))
struct VerifierTests {
  /// Runs with the address of a server that answers what `handler` does.
  private func withServer(
    on address: ListenAddress = .tcp(loopback),
    _ handler: @escaping HTTPHandler,
    _ body: (String) async throws -> Void
  ) async throws {
    let server = try await HTTPServer.start(on: [address], handler: handler)
    do {
      try await body(server.endpoints.first.map { "http://\($0)/verify" } ?? "")
    } catch {
      await server.shutdown()
      throw error
    }
    await server.shutdown()
  }

  private func isAdmitted(_ verdict: ClientVerifier.Verdict) -> Bool {
    if case .refused = verdict { false } else { true }
  }

  @Test("An address is told who comes from where, and only a clear yes admits")
  func address() async throws {
    let key = someKey().publicKey
    let asked = Mutex("")
    let said = Mutex((status: 200, body: ""))
    try await withServer { request in
      asked.withLock {
        $0 = "\(request.method) \(request.path) " + String(decoding: request.body, as: UTF8.self)
      }
      let answer = said.withLock { $0 }
      return HTTPResponse(status: answer.status, body: .bytes(Array(answer.body.utf8)))
    } _: { url in
      let verifier = ClientVerifier(url: url)
      for (status, body, isRight) in [
        (200, #"{"Allow":true}"#, true), (200, #"{"x":[],"Allow":true}"#, true),
        (200, #"{"Allow":false}"#, false), (200, "{}", false), (200, #"{"allow":true}"#, false),
        (200, #"{"Allow":"true"}"#, false), (200, #"{"Allow":true"#, false), (200, "yes", false),
        (403, #"{"Allow":true}"#, false), (500, "", false), (204, "", false),
        (200, #"{"Allow":true,"x":""# + String(repeating: "x", count: 5000) + "\"}", false),
      ] {
        said.withLock { $0 = (status, body) }
        let verdict = await verifier.judge(key, from: Endpoint("192.0.2.7:99"))
        #expect(isAdmitted(verdict) == isRight, "\(status) \(body.prefix(40)): \(verdict)")
      }
      let expected = #"POST /verify {"NodePublic":"\#(key)","Source":"192.0.2.7"}"#
      #expect(asked.withLock { $0 } == expected)
    }
  }

  @Test("Where nobody answers, clients are admitted or not, as the operator wants")
  func nobody() async throws {
    let listener = try await Listener.start(on: [.tcp(loopback)], tls: nil) { $0.abort() }
    let url = "http://\(try #require(listener.endpoints.first))/"
    let key = someKey().publicKey
    for failsOpen in [true, false] {
      let verdict = await ClientVerifier(url: url, failsOpen: failsOpen).judge(key, from: nil)
      #expect(isAdmitted(verdict) == failsOpen)
      #expect(verdict != .admitted)
    }
    await listener.shutdown()
  }

  @Test("The daemon of this machine is asked for the key; where it is not there nobody gets in")
  func daemon() async throws {
    let known = someKey().publicKey
    try await withDirectory { directory in
      try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
      let socket = directory + "/d.sock"
      let verifier = ClientVerifier(daemonSocket: socket)
      #expect(await !isAdmitted(verifier.judge(known, from: nil)))
      try await withServer(on: .unix(path: socket, mode: 0o600)) { request in
        let isRight = request.path == "/localapi/v0/whois?addr=\(known)"
        return HTTPResponse(status: isRight ? 200 : 404, body: .bytes(Array("{}".utf8)))
      } _: { _ in
        #expect(await verifier.judge(known, from: nil) == .admitted)
        #expect(await !isAdmitted(verifier.judge(someKey().publicKey, from: nil)))
        // Both are asked where both are named.
        let both = ClientVerifier(
          daemonSocket: socket,
          url: "http://127.0.0.1:1/",
          failsOpen: false
        )
        #expect(await !isAdmitted(both.judge(known, from: nil)))
      }
    }
  }

  @Test(
    "Who is refused is disconnected after the introduction; relays of the mesh are not asked about"
  )
  func relay() async throws {
    let known = someKey()
    let secret = try #require(MeshKey(String(repeating: "ab", count: 32)))
    try await withServer { request in
      let isKnown = String(decoding: request.body, as: UTF8.self).contains("\(known.publicKey)")
      return HTTPResponse(status: 200, body: .bytes(Array(#"{"Allow":\#(isKnown)}"#.utf8)))
    } _: { url in
      let options = RelayOptions.local().with {
        ($0.verifier, $0.meshKey) = (ClientVerifier(url: url), secret)
      }
      try await withRelay(options) { relay in
        _ = try await TestClient(to: relay, as: known)
        await #expect(throws: (any Error).self) { try await TestClient(to: relay) }
        _ = try await TestClient(to: relay, info: ClientInfo(meshKey: secret))
        #expect(relay.counters.accepts == 2)
        #expect(relay.facts.verified.count == 1 && relay.facts.refused.count == 1)
      }
    }
  }
}

@Suite("Limits of what one client may send", .timeLimit(.minutes(10)))
struct RateLimitTests {
  @Test("A client is told its limit, waits for it and loses nothing; others and relays do not wait")
  func limited() async throws {
    let secret = try #require(MeshKey(String(repeating: "ab", count: 32)))
    let limit = RelayRateLimit(bytesPerSecond: 100_000, burst: 0)
    let options = RelayOptions.local().with { ($0.rateLimit, $0.meshKey) = (limit, secret) }
    try await withRelay(options) { relay in
      let (stream, _) = try await relay.dialUpgraded()
      let alice = try await TestClient(over: stream, serverKey: nil)
      var bob = try await TestClient(to: relay)
      // As they are: our own client would keep to the limit.
      func send(_ count: Int, from client: TestClient) async throws {
        let packets = (0..<count).map { bulk($0, size: 60_000) }
        try await client.say(packets.flatMap { Frame.sendPacket(to: bob.key, $0).bytes })
        for packet in packets { try await bob.expect(packet, from: client.key) }
      }
      while relay.counters.rateLimitWaits == 0 {
        try Task.checkCancellation()
        try await send(2, from: alice)
      }
      let waits = relay.counters.rateLimitWaits
      relay.limit(to: nil)
      for _ in 0..<5 { try await send(2, from: alice) }
      #expect(relay.counters.rateLimitWaits == waits)
      relay.limit(to: limit)
      let other = try await TestClient(to: relay, info: ClientInfo(meshKey: secret))
      for _ in 0..<5 { try await send(2, from: other) }
      #expect(relay.counters.rateLimitWaits == waits)
    }
  }

  @Test("The welcome carries the limit, and none where there is none")
  func told() async throws {
    for limit in [RelayRateLimit(bytesPerSecond: 5000, burst: 100_000), nil] {
      try await withRelay(.local().with { $0.rateLimit = limit }) { relay in
        let client = try await TestClient(to: relay)
        #expect(client.info?.bytesPerSecond == limit?.bytesPerSecond)
        #expect(client.info?.bytesBurst == limit?.burst)
      }
    }
  }

  @Test(
    "A file of limits is read whole or refused",
    arguments: [
      (#"{"PerClientRateLimitBytesPerSec":1000,"PerClientRateBurstBytes":200000}"#, 1000, 200_000),
      (#"{"PerClientRateLimitBytesPerSec":1000}"#, 1000, 65_568), ("{}", 0, 0),
      (#"{"PerClientRateLimitBytesPerSec":0,"PerClientRateBurstBytes":9}"#, 0, 0),
      (#"{"PerClientRateLimitBytesPerSec":-1}"#, nil, 0), (#"{"PerClientRate":1}"#, nil, 0),
      ("", nil, 0), ("[]", nil, 0), (#"{"PerClientRateLimitBytesPerSec":"fast"}"#, nil, 0),
    ] as [(String, Int?, Int)]
  )
  func file(_ text: String, _ rate: Int?, _ burst: Int) {
    let limit = Result { try RelayRateLimit.read(json: Array(text.utf8)) }
    guard let rate else {
      #expect(throws: (any Error).self) { try limit.get() }
      return
    }
    let read = try? limit.get()
    #expect((read?.bytesPerSecond ?? 0, read?.burst ?? 0) == (rate, burst))
  }
}
