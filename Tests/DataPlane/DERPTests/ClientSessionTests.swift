// SPDX-License-Identifier: Apache-2.0

import Bytes
import Cryptography
import DERP
import JSON
import Keys
import Testing
import Timing

@Suite struct ClientSessionTests {
  let start = Instant(nanoseconds: 1_000_000_000)
  let node = someKey(1)
  let relay = someKey(2)

  /// A session that the relay has admitted, and what was said on the way.
  private func connected(
    isHome: Bool = false,
    info: ServerInfo = ServerInfo()
  ) throws -> (ClientSession, ClientSession.Effects) {
    var effects = ClientSession.Effects()
    var session = ClientSession(
      privateKey: node,
      isHome: isHome,
      entropy: Entropy(seed: 1),
      at: start,
      into: &effects
    )
    let handshake = RelayHandshake(privateKey: relay)
    var entropy = Entropy(seed: 2)
    try session.receive(handshake.greeting.bytes, at: start, into: &effects)
    let welcome = handshake.welcome(node.publicKey, info, using: &entropy)
    try session.receive(welcome.bytes, at: start, into: &effects)
    return (session, effects)
  }

  @Test("The relay opens what a client tells, and the client what the relay tells")
  func handshake() throws {
    let (session, effects) = try connected(isHome: true)
    var decoder = FrameDecoder(for: .strangersRelay)
    decoder.append(effects.output)
    let first = try decoder.next()
    decoder.receiver = .relay
    let second = try decoder.next()
    guard case .clientInfo(let key, let sealed) = first else {
      Issue.record("the first frame is not the introduction")
      return
    }
    let admitted = RelayHandshake(privateKey: relay).open(key, sealed: sealed)
    #expect(admitted?.key == node.publicKey)
    #expect(admitted?.info == ClientInfo())
    #expect(second == .notePreferred(true))
    #expect(effects.events == [.connected(ServerInfo())])
    #expect(session.isConnected)
  }

  @Test("The vectors of both descriptions open and say what they say")
  func vectors() throws {
    let vectors = try Vectors()
    let relay = RelayHandshake(privateKey: try vectors.privateKey("serverPrivate"))
    for (name, meshKey) in [("ClientInfo", nil), ("ClientInfo (mesh)", "meshKey")] {
      var decoder = FrameDecoder(for: .strangersRelay)
      decoder.append(try vectors.frame(name))
      let frame = try decoder.next()
      guard case .clientInfo(let key, let sealed) = frame else {
        Issue.record("\(name) is not an introduction")
        continue
      }
      let admitted = relay.open(key, sealed: sealed)
      #expect(try admitted?.key == vectors.key("nodePublic"))
      #expect(try admitted?.info.meshKey?.text == meshKey.map { Hex.encode(try vectors.bytes($0)) })
      #expect(admitted?.info.canAnswerPings == true)
    }
    var effects = ClientSession.Effects()
    var session = ClientSession(
      privateKey: try vectors.privateKey("nodePrivate"),
      serverKey: try vectors.key("serverPublic"),
      isHome: false,
      entropy: Entropy(seed: 1),
      at: start,
      into: &effects
    )
    try session.receive(vectors.frame("ServerInfo"), at: start, into: &effects)
    #expect(effects.events == [.connected(ServerInfo())])
  }

  @Test("With fast start the client speaks first, and the relay's key is no surprise later")
  func fastStart() throws {
    var effects = ClientSession.Effects()
    var session = ClientSession(
      privateKey: node,
      serverKey: relay.publicKey,
      isHome: false,
      entropy: Entropy(seed: 1),
      at: start,
      into: &effects
    )
    let early = session.send([1], to: someKey(3).publicKey, at: start, into: &effects)
    #expect(early == .sent)
    try session.receive(Frame.serverKey(relay.publicKey).bytes, at: start, into: &effects)
    #expect(throws: ClientSession.Failure.wrongKey(someKey(9).publicKey)) {
      try session.receive(
        Frame.serverKey(someKey(9).publicKey).bytes,
        at: start,
        into: &effects
      )
    }
  }

  @Test("The key of a relay is found in the certificate that is only there to tell it")
  func certificateName() throws {
    let vectors = try Vectors()
    let name = try #require(vectors.tree["metaCertCommonName"]?.string)
    let meta = [0x30, 0x82, 0x01] + Array(name.utf8) + [0x31]
    #expect(try FastStart.serverKey(inCertificates: [[1], meta]) == vectors.key("serverPublic"))
    #expect(FastStart.serverKey(inCertificates: [meta]) == nil)
    #expect(FastStart.serverKey(inCertificates: [[], Array("derpkey12".utf8)]) == nil)
  }

  @Test("Packets, departures, health and restarts are told; pings are answered")
  func events() throws {
    var (session, effects) = try connected()
    effects = ClientSession.Effects()
    let peer = someKey(3).publicKey
    let frames: [Frame] = [
      .receivePacket(from: peer, [1, 2]), .peerGone(peer, .notHere), .health("bad"), .health(""),
      .ping(7), .pong(8), .keepAlive,
      .restarting(reconnectIn: .milliseconds(5), tryFor: .seconds(1)),
    ]
    try session.receive(frames.flatMap(\.bytes), at: start, into: &effects)
    #expect(
      effects.events == [
        .packet(from: peer, [1, 2]), .peerGone(peer, .notHere), .health("bad"), .health(nil),
        .pong(8), .restarting(reconnectIn: .milliseconds(5), tryFor: .seconds(1)),
      ]
    )
    #expect(effects.output == Frame.pong(7).bytes)
  }

  @Test("A packet is refused when it is too long, too early, or more than the relay wants")
  func refusals() throws {
    var (session, effects) = try connected(info: ServerInfo(bytesPerSecond: 1000, bytesBurst: 1))
    let peer = someKey(3).publicKey
    let long = [UInt8](repeating: 0, count: Frame.maximumPacketSize + 1)
    let tooLong = session.send(long[...], to: peer, at: start, into: &effects)
    #expect(tooLong == .tooLong)
    let longest = session.send(long.dropFirst(), to: peer, at: start, into: &effects)
    #expect(longest == .sent)
    let more = session.send([1], to: peer, at: start, into: &effects)
    #expect(more == .limited)
    let later = session.send([1], to: peer, at: start + .seconds(1), into: &effects)
    #expect(later == .sent)
    #expect(session.refusedPackets == 2)

    var fresh = ClientSession(
      privateKey: node,
      isHome: false,
      entropy: Entropy(seed: 1),
      at: start,
      into: &effects
    )
    let early = fresh.send([1], to: peer, at: start, into: &effects)
    #expect(early == .notReady)
  }

  @Test("A relay that does not admit us, or falls silent, is given up")
  func timeouts() throws {
    var effects = ClientSession.Effects()
    let fresh = ClientSession(
      privateKey: node,
      isHome: false,
      entropy: Entropy(seed: 1),
      at: start,
      into: &effects
    )
    try fresh.handleTimeouts(at: start + .seconds(9))
    #expect(throws: ClientSession.Failure.handshakeTimedOut) {
      try fresh.handleTimeouts(at: fresh.nextTimeout)
    }
    var (session, _) = try connected()
    try session.receive(Frame.keepAlive.bytes, at: start + .seconds(65), into: &effects)
    try session.handleTimeouts(at: start + .seconds(184))
    #expect(throws: ClientSession.Failure.silent) {
      try session.handleTimeouts(at: start + .seconds(185))
    }
  }

  @Test("A relay whose description cannot be opened is not the one whose key it told")
  func badServerInfo() throws {
    var effects = ClientSession.Effects()
    var session = ClientSession(
      privateKey: node,
      isHome: false,
      entropy: Entropy(seed: 1),
      at: start,
      into: &effects
    )
    try session.receive(Frame.serverKey(relay.publicKey).bytes, at: start, into: &effects)
    let forged = Frame.serverInfo(sealed: [UInt8](repeating: 1, count: 60))
    #expect(throws: ClientSession.Failure.badServerInfo) {
      try session.receive(forged.bytes, at: start, into: &effects)
    }
  }

  @Test("The relay refuses who cannot prove their key, and who claims its own")
  func admission() {
    let handshake = RelayHandshake(privateKey: relay)
    var entropy = Entropy(seed: 4)
    let forged = NaClBox(privateKey: someKey(5).bytes, publicKey: relay.publicKey.bytes)
      .seal(ClientInfo().json, using: &entropy)
    #expect(handshake.open(node.publicKey, sealed: forged) == nil)
    let own = NaClBox(privateKey: relay.bytes, publicKey: relay.publicKey.bytes)
      .seal(ClientInfo().json, using: &entropy)
    #expect(handshake.open(relay.publicKey, sealed: own) == nil)
    let nonsense = NaClBox(privateKey: node.bytes, publicKey: relay.publicKey.bytes)
      .seal(Array("{\"meshKey\":\"\"}".utf8), using: &entropy)
    #expect(handshake.open(node.publicKey, sealed: nonsense) == nil)
  }

  @Test("A change of home is told once")
  func home() throws {
    var (session, effects) = try connected()
    effects = ClientSession.Effects()
    session.notePreferred(true, into: &effects)
    session.notePreferred(true, into: &effects)
    session.notePreferred(false, into: &effects)
    #expect(effects.output == Frame.notePreferred(true).bytes + Frame.notePreferred(false).bytes)
  }
}
