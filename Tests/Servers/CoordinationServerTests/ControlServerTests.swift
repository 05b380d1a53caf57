// SPDX-License-Identifier: Apache-2.0

import Addressing
import ControlProtocol
import Coordination
import CoordinationStore
import Cryptography
import Foundation
import HTTPTransport
import JSON
import Keys
import Logging
import Testing
import Timing

@testable import CoordinationServer

@Suite("The control server", .timeLimit(.minutes(10)))
struct ControlServerTests {
  @Test("It tells its key to clients that are new enough, and its health to anybody")
  func open() async throws {
    try await TestServer.run { server in
      let (status, headers, body) = try await server.get("/key?v=138")
      #expect(status == 200 && headers["X-Content-Type-Options"] == "nosniff")
      let keys = try ServerKeys(json: Array(body.utf8))
      #expect(keys.publicKey == server.server.publicKey && keys.legacyPublicKey.isZero)
      for path in ["/key", "/key?v=", "/key?v=x", "/key?v=-1", "/key?v=112", "/key?v=%zz"] {
        #expect(try await server.get(path).0 == 400, "\(path)")
      }
      #expect(try await server.get("/health").2 == #"{"status":"pass"}"#)
      #expect(try await server.get("/version").2.contains("test"))
      #expect(try await server.get("/nowhere").0 == 404)
      #expect(try await server.get("/key?v=138", method: "DELETE").0 == 405)
      for path in ["/machine/register", "/machine/map", "/api/v1/nothing", "/metrics"] {
        #expect(try await server.get(path).0 == 404, "\(path)")
      }
      #expect(try await server.get("/api/v1/user").0 == 401)
    }
  }

  @Test("The way in takes a handshake for its key and a version it speaks")
  func upgrade() async throws {
    try await TestServer.run { server in
      #expect(try await server.get("/ts2021").0 == 400)
      await #expect(throws: HTTPTransportError.self) {
        try await TestClient("old", of: server, version: 112)
      }
      _ = try await TestClient("young", of: server, version: 113)
      for header in ["", "!!!", "AAAA"] {
        let stream = try await Dialer().dial(host: "127.0.0.1", port: server.endpoint.port)
        await #expect(throws: HTTPTransportError.self) {
          try await HTTPClient.upgrade(
            stream,
            method: "POST",
            host: "x",
            path: "/ts2021",
            headers: [ControlHandshake.headerName: header],
            protocol: ControlHandshake.upgradeProtocol
          )
        }
      }
    }
  }

  @Test("A node joins, gets its map, and learns of another as it comes, moves and goes")
  func life() async throws {
    try await TestServer.run { server in
      let one = try await server.joined("one")
      #expect(try await one.update() == 200)
      let stream = try await one.stream()
      let first = try #require(try await stream.next())
      #expect(first.node?.name == "one.lab.example." && first.node?.key == one.nodeKey)
      #expect(first.node?.machineAuthorized == true && first.peers.isEmpty)
      #expect(first.derpMap != nil && first.packetFilters["base"]??.count == 1)
      #expect(first.node?.discoKey == one.discoKey && first.node?.endpoints.count == 1)

      let two = try await server.joined("two")
      let came = try await stream.next { !$0.peersChanged.isEmpty }
      let id = try #require(came.peersChanged.first?.id)
      #expect(came.peersChanged.first?.key == two.nodeKey)
      #expect(came.userProfiles.first?.loginName == "alice")

      _ = try await two.update()
      _ = try await stream.next { message in
        message.peersChangedPatch.contains { $0.nodeID == id && $0.endpoints?.count == 1 }
      }
      let other = try await two.stream()
      let whole = try #require(try await other.next())
      #expect(whole.peers.map(\.name) == ["one.lab.example."] && whole.peers[0].online == true)
      _ = try await stream.next { message in
        message.peersChangedPatch.contains { $0.nodeID == id && $0.online == true }
      }
      other.end()
      _ = try await stream.next { message in
        message.peersChangedPatch.contains { $0.online == false && $0.lastSeen != nil }
      }
      #expect(try await server.admin("DELETE", "node/two").0 == 200)
      _ = try await stream.next { $0.peersRemoved == [id] }
      #expect(try await two.update() == 404)
    }
  }

  @Test("Of many machines with one one-off key at the same time, one gets in")
  func oneOffRace() async throws {
    try await TestServer.run { server in
      let key = try await server.key(reusable: false)
      var clients: [TestClient] = []
      for number in 0..<12 { clients.append(try await server.client("m\(number)")) }
      let admitted = try await withThrowingTaskGroup(of: Bool.self) { group in
        for client in clients {
          group.addTask { try await client.register(key: key).machineAuthorized }
        }
        return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
      }
      #expect(admitted == 1)
      #expect(await server.coordinator.read { tailnet, _ in tailnet.nodes.count } == 1)
    }
  }

  @Test("A machine cannot ask for the map of another's node, nor claim its key")
  func foreign() async throws {
    try await TestServer.run { server in
      let victim = try await server.joined("victim")
      let thief = try await TestClient("thief", of: server, nodeKey: victim.nodeKey)
      #expect(try await thief.update() == 404)
      #expect(try await thief.stream().status == 404)
      let response = try await thief.register(key: try await server.key())
      #expect(response.error != "" && response.login.loginName == "")
      #expect(try await victim.update() == 200)
    }
  }

  @Test("A relay that asks whether to admit a client hears yes for members, and for nobody else")
  func verify() async throws {
    try await TestServer.run { server in
      func ask(_ question: String) async throws -> (Int, String) {
        let answer = try await HTTPClient().request(
          "POST",
          url: "http://\(server.endpoint)/verify",
          body: Array(question.utf8)
        )
        let body = try await answer.collect(upTo: 4096)
        return (answer.status, String(decoding: body, as: UTF8.self))
      }
      let member = try await server.joined("member")
      #expect(try await ask(#"{"NodePublic":"\#(member.nodeKey)"}"#) == (200, #"{"Allow":true}"#))
      var entropy = Entropy.system
      let stranger = NodePrivateKey.generate(using: &entropy).publicKey
      let question = #"{"NodePublic":"\#(stranger)","Source":"192.0.2.1"}"#
      #expect(try await ask(question) == (200, #"{"Allow":false}"#))
      let long =
        #"{"NodePublic":"\#(member.nodeKey)","Source":""#
        + String(repeating: "x", count: 5000) + "\"}"
      for wrong in ["", "{}", #"{"NodePublic":7}"#, #"{"NodePublic":"nodekey:00"}"#, long] {
        #expect(try await ask(wrong).0 == 400, "\(wrong.prefix(40))")
      }
      #expect(try await server.get("/verify").0 == 404)
    }
  }

  @Test("A login waits for the administrator's command, and its page shows it")
  func login() async throws {
    try await TestServer.run { server in
      _ = try await server.user()
      let client = try await server.client("<script>alert(1)</script>")
      let url = try await client.register().authURL
      let id = try #require(url.split(separator: "/").last)
      let (status, headers, page) = try await server.get("/register/\(id)")
      #expect(status == 200 && page.contains("martlet-control auth approve \(id)"))
      #expect(!page.contains("<script>") && page.contains("&lt;script&gt;"))
      #expect(headers["Content-Security-Policy"]?.contains("default-src 'none'") == true)
      #expect(headers["X-Frame-Options"] == "DENY" && !page.contains("<form"))
      async let answer = client.register(followup: url)
      let listed = try await server.admin("GET", "auth").1["authRequests"]
      #expect(listed?[0]?["id"]?.string == String(id))
      let approved = try await server.admin("POST", "auth/approve", ["authId": .string(String(id))])
      #expect(approved.0 == 200)
      #expect(try await answer.machineAuthorized)
      #expect(try await server.get("/register/\(id)").2.contains("joined"))
      let again = try await server.admin("POST", "auth/approve", ["authId": .string(String(id))])
      #expect(again.0 == 404)
    }
  }

  @Test(
    "A page for what is no login is refused without repeating it",
    arguments: ["x", "<script>", "..%2f..%2fetc", String(repeating: "0", count: 32)]
  )
  func unknownLogin(id: String) async throws {
    try await TestServer.run { server in
      let (status, _, page) = try await server.get("/register/\(id.replacing("<", with: "%3C"))")
      #expect(status == 400 || status == 404)
      #expect(!page.contains("script>") && !page.contains("etc"))
    }
  }

  @Test("A rejected login is told so; one that nobody decides gets a new address")
  func rejected() async throws {
    try await TestServer.run { server in
      let client = try await server.client()
      let url = try await client.register().authURL
      let id = JSONValue.string(url.split(separator: "/").last.map(String.init) ?? "")
      async let answer = client.register(followup: url)
      #expect(try await server.admin("POST", "auth/reject", ["authId": id]).0 == 200)
      #expect(try await answer.error != "")

      let late = try await server.client("late")
      let old = try await late.register().authURL
      async let next = late.register(followup: old)
      await server.push(by: LoginRequests.lifetime)
      let new = try await next.authURL
      #expect(new != "" && new != old)
    }
  }

  @Test(
    "A node that is expired is locked out at once and told of nobody, until its key lasts again"
  )
  func expired() async throws {
    try await TestServer.run { server in
      let (one, two) = (try await server.joined("one"), try await server.joined("two"))
      let streams = (try await one.stream(), try await two.stream())
      _ = try await streams.0.next { $0.node != nil }
      let whole = try #require(try await streams.1.next())
      let oneID = try #require(whole.peers.first?.id)
      #expect(try await server.admin("POST", "node/one/expire").0 == 200)
      let told = try await streams.1.next { !$0.peersChanged.isEmpty }
      #expect(told.peersChanged.first?.expired == true)
      let own = try await streams.0.next { $0.node != nil }
      #expect(own.node?.keyExpiry != nil && own.node?.machineAuthorized == false)
      #expect(
        own.peersRemoved == whole.node.map { [$0.id] }
          && own.packetFilters["base"]??.isEmpty == true
      )
      #expect(try await one.register().nodeKeyExpired)
      let fresh = try #require(try await one.stream().next())
      #expect(fresh.peers.isEmpty && fresh.node?.id == oneID)
      let renewal = try await server.admin("POST", "node/one/expire", ["disableExpiry": true])
      #expect(renewal.0 == 200)
      let again = try await streams.0.next { $0.node?.machineAuthorized == true }
      #expect(again.peers.map(\.id) == whole.node.map { [$0.id] })
      #expect(again.packetFilters["base"]??.count == 1)
      _ = try await streams.1.next { $0.peersChanged.first?.expired == false }
    }
  }

  @Test("A new node key ends the streams of the old one")
  func rotation() async throws {
    try await TestServer.run { server in
      let one = try await server.joined("one")
      let stream = try await one.stream()
      _ = try await stream.next()
      let renewed = try await TestClient("one", of: server, machineKey: one.machineKey)
      let key = try await server.key()
      #expect(
        try await renewed.register(key: key) { $0.oldNodeKey = one.nodeKey }.machineAuthorized
      )
      while try await stream.next() != nil {}
      #expect(try await one.update() == 404)
      #expect(try await renewed.update() == 200)
    }
  }

  @Test("A stream says that it is alive within a minute, and nothing else when nothing happens")
  func keepAlive() async throws {
    try await TestServer.run { server in
      let stream = try await server.joined("one").stream()
      _ = try await stream.next()
      await server.push(by: .seconds(60))
      let message = try #require(try await stream.next())
      #expect(message.keepAlive)
    }
  }

  @Test("A request without a stream gets one message, compressed or not")
  func single() async throws {
    try await TestServer.run { server in
      let one = try await server.joined("one")
      for compress in ["zstd", ""] {
        var request = one.mapRequest
        request.compress = compress
        let (status, body) = try await one.call("/machine/map", request.json)
        var decoder = MapFrameDecoder(compressed: compress == "zstd")
        decoder.receive(body)
        #expect(status == 200)
        #expect(try decoder.next()?.node?.name == "one.lab.example.")
      }
      var request = one.mapRequest
      request.compress = "gzip"
      #expect(try await one.call("/machine/map", request.json).0 == 400)
    }
  }

  @Test("What is not served says so: 501 for what the protocol knows, 404 for the rest")
  func absent() async throws {
    try await TestServer.run { server in
      let client = try await server.client()
      for path in [
        "set-dns", "tka/init/begin",
      ] {
        let (status, body) = try await client.call("/machine/" + path)
        #expect(status == 501 && body.count > 10, "\(path)")
      }
      #expect(try await client.call("/machine/update-health").0 == 204)
      #expect(try await client.call("/machine/other").0 == 404)
      #expect(try await client.call("/machine/map", method: "GET").0 == 405)
    }
  }

  @Test("Bodies that make no sense are answered 400, and the server lives")
  func malformedBodies() async throws {
    try await TestServer.run { server in
      let client = try await server.joined("one")
      var corpus: [[UInt8]] = ["", "null", "[]", "{", "{}", #"{"Version":"x"}"#].map {
        Array($0.utf8)
      }
      corpus.append(Array(#"{"Version":138,"NodeKey":"nodekey:00","Hostinfo":null}"#.utf8))
      var request = client.mapRequest
      request.hostinfo?.hostname = String(repeating: "x", count: 100_000)
      corpus.append(request.json)
      for body in corpus {
        for path in ["/machine/map", "/machine/register"] {
          let status = try await client.call(path, body).0
          #expect(status == 400, "\(String(decoding: body.prefix(60), as: UTF8.self))")
        }
      }
      let large = [UInt8](repeating: 0x20, count: (1 << 20) + 1)
      #expect(try await client.call("/machine/map", large).0 == 413)
      #expect(try await client.update() == 200)
    }
  }

  @Test(
    "Requests with any byte changed, missing or added crash nothing",
    arguments: 1...4 as ClosedRange<UInt64>
  )
  func fuzz(seed: UInt64) async throws {
    try await TestServer.run { server in
      let client = try await server.joined("one")
      let endpoint = MachineEndpoint(
        coordinator: server.coordinator,
        logger: Logger(label: "fuzz") { _ in SwiftLogNoOpLogHandler() },
        turnstile: Turnstile(places: 1),
        tokens: try TokenIssuer(
          url: "http://127.0.0.1:1",
          pem: try SigningKey().pem,
          clock: SystemClock.now
        )
      )
      var register = RegisterRequest(version: 138, nodeKey: client.nodeKey)
      register.hostinfo = client.hostinfo
      register.auth = RegisterAuth(authKey: "martlet-auth-0123456789ab-x")
      var map = client.mapRequest
      map.endpoints = [Endpoint(IPAddress(192, 0, 2, 1), port: 1)]
      map.omitPeers = true
      var entropy = Entropy(seed: seed)
      for (path, sample) in [("/machine/register", register.json), ("/machine/map", map.json)] {
        for _ in 0..<1000 {
          let body = mutated(sample, using: &entropy)
          let response = await endpoint.answer(
            HTTPRequest(method: "POST", path: path, body: body),
            from: client.machineKey.publicKey,
            over: nil
          )
          #expect([200, 400, 404].contains(response.status), "seed \(seed)")
        }
      }
    }
  }

  private func mutated(_ sample: [UInt8], using entropy: inout Entropy) -> [UInt8] {
    var body = sample
    for _ in 0..<Int.random(in: 1...4, using: &entropy) where !body.isEmpty {
      let index = Int.random(in: 0..<body.count, using: &entropy)
      switch Int.random(in: 0..<4, using: &entropy) {
      case 0: body[index] = UInt8.random(in: 0...255, using: &entropy)
      case 1: body.remove(at: index)
      case 2: body.insert(UInt8(ascii: "\""), at: index)
      default: body.removeLast(min(body.count, Int.random(in: 1...40, using: &entropy)))
      }
    }
    return body
  }

  @Test("What a server acknowledged is there after its next start, under the same key")
  func restart() async throws {
    let directory = NSTemporaryDirectory() + "mt-" + UUID().uuidString
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let server = try await TestServer.start(in: directory)
    let client = try await server.joined("one")
    let key = server.server.publicKey
    await #expect(throws: StoreError.self) { try await TestServer.start(in: directory) }
    await server.server.shutDown()
    let again = try await TestServer.start(in: directory)
    #expect(again.server.publicKey == key)
    let back = try await TestClient(
      "one",
      of: again,
      machineKey: client.machineKey,
      nodeKey: client.nodeKey
    )
    #expect(try await back.register().machineAuthorized)
    await again.server.shutDown()
  }

  @Test("Many nodes that come back at once all get their maps")
  func stampede() async throws {
    try await TestServer.run { server in
      let count = 60
      let key = try await server.key()
      try await withThrowingTaskGroup(of: Void.self) { group in
        for number in 0..<count {
          group.addTask {
            let client = try await server.client("n\(number)")
            let response = try await client.register(key: key)
            #expect(response.machineAuthorized)
            let stream = try await client.stream()
            var seen: Set<Int64> = []
            while seen.count < count - 1, let message = try await stream.next() {
              seen.formUnion(message.peers.map(\.id) + message.peersChanged.map(\.id))
              for id in message.peersRemoved { seen.remove(id) }
            }
            #expect(seen.count == count - 1)
            _ = stream
          }
        }
        try await group.waitForAll()
      }
    }
  }
}
