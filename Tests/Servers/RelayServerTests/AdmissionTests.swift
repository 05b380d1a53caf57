// SPDX-License-Identifier: Apache-2.0

import Addressing
import Bytes
import Cryptography
import DERP
import HTTPTransport
import Keys
import RelayServer
import Synchronization
import Testing

@Suite("Admission", .timeLimit(.minutes(10)))
struct AdmissionTests {
  @Test("A client that asks for the upgrade is answered with the relay's key, then by frames")
  func upgrade() async throws {
    try await withRelay { relay in
      let (stream, headers) = try await relay.dialUpgraded()
      #expect(headers["Derp-Version"] == "2")
      #expect(headers["Derp-Public-Key"] == Hex.encode(relay.publicKey.bytes))
      let greeting = try await stream.read(atLeast: 45)
      #expect(greeting == Frame.serverKey(relay.publicKey).bytes)
    }
  }

  @Test("With fast start there is no HTTP answer: the first byte is a frame's")
  func fastStart() async throws {
    try await withRelay { relay in
      let stream = try await relay.dial()
      try await stream.write(fastStartRequest)
      let greeting = try await stream.read(atLeast: 45)
      #expect(greeting == Frame.serverKey(relay.publicKey).bytes)
    }
  }

  @Test("Over TLS a client learns the key from the certificates and needs no answer to begin")
  func fastStartOverTLS() async throws {
    try await withRelay(.local(.selfSigned)) { relay in
      let stream = try await relay.dial()
      let key = FastStart.serverKey(inCertificates: stream.peerCertificates)
      #expect(key == relay.publicKey)
      var client = try await TestClient(over: stream, serverKey: key, saying: fastStartRequest)
      try await client.send([1], to: client.key)
      try await client.expect([1], from: client.key)
    }
  }

  @Test("The introduction may come in the same piece as the request, with packets after it")
  func allAtOnce() async throws {
    try await withRelay { relay in
      var other = try await TestClient(to: relay)
      let key = someKey()
      var entropy = Entropy.system
      let box = NaClBox(privateKey: key.bytes, publicKey: relay.publicKey.bytes)
      let sealed = box.seal(ClientInfo().json, using: &entropy)
      let stream = try await relay.dial()
      try await stream.write(
        fastStartRequest + Frame.clientInfo(key.publicKey, sealed: sealed).bytes
          + Frame.sendPacket(to: other.key, [7, 7]).bytes
      )
      try await other.expect([7, 7], from: key.publicKey)
    }
  }

  @Test("A client that sends one byte at a time is admitted, and its packets arrive whole")
  func dripFed() async throws {
    try await withRelay { relay in
      var other = try await TestClient(to: relay)
      let key = someKey()
      var entropy = Entropy.system
      let box = NaClBox(privateKey: key.bytes, publicKey: relay.publicKey.bytes)
      let sealed = box.seal(ClientInfo().json, using: &entropy)
      let bytes =
        fastStartRequest + Frame.clientInfo(key.publicKey, sealed: sealed).bytes
        + Frame.notePreferred(true).bytes + Frame.sendPacket(to: other.key, [1, 2, 3]).bytes
      let stream = try await relay.dial()
      for byte in bytes {
        try await stream.write([byte])
        await Task.yield()
      }
      try await other.expect([1, 2, 3], from: key.publicKey)
      #expect(relay.counters.homeClients == 1)
    }
  }

  @Test("A client that names somebody else's key, the relay's or none is turned away")
  func forgedKeys() async throws {
    try await withRelay { relay in
      let (mine, theirs) = (someKey(), someKey())
      var entropy = Entropy.system
      let box = NaClBox(privateKey: mine.bytes, publicKey: relay.publicKey.bytes)
      for named in [theirs.publicKey, relay.publicKey, .zero] {
        let (stream, _) = try await relay.dialUpgraded()
        let sealed = box.seal(ClientInfo().json, using: &entropy)
        try await stream.write(Frame.clientInfo(named, sealed: sealed).bytes)
        let all = await stream.readToEnd()
        #expect(all.count <= 45)
      }
      #expect(relay.counters.accepts == 0)
    }
  }

  @Test("Descriptions that are no JSON, or none at all, are turned away")
  func nonsense() async throws {
    try await withRelay { relay in
      let key = someKey()
      var entropy = Entropy.system
      let box = NaClBox(privateKey: key.bytes, publicKey: relay.publicKey.bytes)
      for text in ["", "{", "[]", "\"\"", "{\"version\":{}}"] {
        let (stream, _) = try await relay.dialUpgraded()
        let sealed = box.seal(Array(text.utf8), using: &entropy)
        try await stream.write(Frame.clientInfo(key.publicKey, sealed: sealed).bytes)
        let all = await stream.readToEnd()
        #expect(all.count <= 45)
      }
      #expect(relay.counters.accepts == 0)
    }
  }

  @Test("An introduction that is too long is refused by its header alone")
  func giantIntroduction() async throws {
    try await withRelay { relay in
      for header: [UInt8] in [[0x02, 0x00, 0x00, 0x40, 0x01], [0x02, 0xFF, 0xFF, 0xFF, 0xFF]] {
        let (stream, _) = try await relay.dialUpgraded()
        try await stream.write(header)
        let all = await stream.readToEnd()
        #expect(all.count <= 45)
      }
    }
  }

  @Test("Packets of somebody who has not introduced themselves go nowhere")
  func strangers() async throws {
    try await withRelay { relay in
      var other = try await TestClient(to: relay)
      let (stream, _) = try await relay.dialUpgraded()
      try await stream.write(Frame.sendPacket(to: other.key, [6, 6, 6]).bytes)
      let late = try await TestClient(over: stream, serverKey: nil)
      try await late.say(Frame.sendPacket(to: other.key, [1]).bytes)
      try await other.expect([1], from: late.key)
      #expect(relay.counters.packetsReceived == 1)
    }
  }

  @Test("Who is not on the list is turned away, whoever is comes in")
  func admissionList() async throws {
    let known = someKey()
    let options = RelayOptions.local().with { options in
      options.admits = { key, from in key == known.publicKey && from != nil }
    }
    try await withRelay(options) { relay in
      _ = try await TestClient(to: relay, as: known)
      await #expect(throws: (any Error).self) { try await TestClient(to: relay) }
      #expect(relay.counters.accepts == 1)
    }
  }

  @Test("Who loses the admission while it comes in does not stay")
  func lateLoss() async throws {
    let asked = Atomic(0)
    let options = RelayOptions.local().with { options in
      options.admits = { _, _ in asked.add(1, ordering: .relaxed).oldValue == 0 }
    }
    try await withRelay(options) { relay in
      let (stream, _) = try await relay.dialUpgraded()
      let key = someKey()
      var entropy = Entropy.system
      let box = NaClBox(privateKey: key.bytes, publicKey: relay.publicKey.bytes)
      let sealed = box.seal(ClientInfo().json, using: &entropy)
      try await stream.write(Frame.clientInfo(key.publicKey, sealed: sealed).bytes)
      _ = await stream.readToEnd()
      #expect(relay.counters.accepts == 1)
      #expect(relay.counters.clients == 0)
    }
  }

  @Test("Who is admitted no longer is disconnected, on every connection; others stay")
  func dismissal() async throws {
    let known = someKey()
    try await withRelay { relay in
      var first = try await TestClient(to: relay, as: known)
      var other = try await TestClient(to: relay)
      relay.disconnect(someKey().publicKey)
      try await first.settle()
      relay.disconnect(known.publicKey)
      _ = await first.untilEnd()
      try await other.send([1], to: other.key)
      try await other.expect([1], from: other.key)
    }
  }

  @Test("Slow strangers are cut at every step: before TLS, in the header, before the introduction")
  func slowStrangers() async throws {
    let impatient = RelayOptions.local(.selfSigned).with { options in
      options.introductionTimeout = .milliseconds(50)
    }
    try await withRelay(impatient) { relay in
      let endpoint = try #require(relay.endpoints.first)
      let silent = try await Dialer().dial(
        host: endpoint.address.description,
        port: endpoint.port
      )
      _ = await silent.readToEnd()
    }
    try await withRelay(impatient.with { $0.certificate = .none }) { relay in
      let header = try await relay.dial()
      // It may be cut before it says anything.
      try? await header.write(Array("GET /derp HT".utf8))
      let nothing = await header.readToEnd()
      #expect(nothing.isEmpty)
      var all: [UInt8] = []
      while all.isEmpty {
        // On a busy machine this may be too slow a stranger even to ask.
        let stranger = try await relay.dial()
        try? await stranger.write(fastStartRequest)
        all = await stranger.readToEnd()
      }
      #expect(all == Frame.serverKey(relay.publicKey).bytes)
    }
  }

  @Test("A certificate that is not the pinned one is refused by the client")
  func wrongPin() async throws {
    try await withRelay(.local(.selfSigned)) { relay in
      let endpoint = try #require(relay.endpoints.first)
      let error = await #expect(throws: HTTPTransportError.self) {
        try await Dialer().dial(
          host: endpoint.address.description,
          port: endpoint.port,
          tls: .pinned(sha256: [UInt8](repeating: 1, count: 32), hostname: nil)
        )
      }
      #expect(error?.reason == .untrusted)
    }
  }
}
