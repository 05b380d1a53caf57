// SPDX-License-Identifier: Apache-2.0

import Addressing
import Bytes
import Cryptography
import DERP
import Foundation
import Keys
import Testing

@Suite struct FrameCodecTests {
  /// Every kind that a receiver of that sort takes, to be read back as it was written.
  static let forClient: [Frame] = [
    .serverKey(someKey(1).publicKey), .serverInfo(sealed: [UInt8](repeating: 7, count: 60)),
    .receivePacket(from: someKey(2).publicKey, [1, 2, 3]),
    .receivePacket(from: someKey(2).publicKey, []), .keepAlive,
    .peerGone(someKey(3).publicKey, .disconnected), .peerGone(someKey(3).publicKey, .notHere),
    .ping(1), .pong(.max), .health("slow down"), .health(""),
    .restarting(reconnectIn: .milliseconds(10), tryFor: .seconds(20)),
  ]
  static let forRelay: [Frame] = [
    .sendPacket(to: someKey(2).publicKey, [UInt8](repeating: 9, count: Frame.maximumPacketSize)),
    .notePreferred(true), .notePreferred(false), .watchConnections,
    .forwardPacket(from: someKey(1).publicKey, to: someKey(2).publicKey, [4]),
    .closePeer(someKey(4).publicKey), .ping(5), .pong(6),
  ]

  @Test("Every vector is written byte for byte")
  func vectors() throws {
    let vectors = try Vectors()
    let node = try vectors.key("nodePublic")
    let peer = try vectors.key("peerPublic")
    let packet = Array("3hello derp".utf8.dropFirst())
    let place = try #require(Endpoint("192.0.2.9:1234"))
    let expected: [(String, Frame)] = [
      ("ServerKey", .serverKey(try vectors.key("serverPublic"))),
      ("SendPacket to node-b", .sendPacket(to: peer, packet)),
      ("RecvPacket from node-a (seen by node-b)", .receivePacket(from: node, packet)),
      ("KeepAlive", .keepAlive), ("NotePreferred true", .notePreferred(true)),
      ("NotePreferred false", .notePreferred(false)),
      ("PeerGone disconnected", .peerGone(peer, .disconnected)),
      ("PeerGone not here", .peerGone(peer, .notHere)),
      ("PeerPresent regular 192.0.2.9:1234", .peerPresent(peer, place, flags: 1)),
      ("ForwardPacket", .forwardPacket(from: node, to: peer, packet)),
      ("WatchConns", .watchConnections), ("ClosePeer", .closePeer(peer)),
      ("Ping", .ping(0x0102_0304_0506_0708)), ("Pong", .pong(0x0102_0304_0506_0708)),
      ("Health bad", .health("problem")), ("Health ok", .health("")),
      (
        "Restarting in 10ms, try for 20s",
        .restarting(reconnectIn: .milliseconds(10), tryFor: .seconds(20))
      ),
    ]
    for (name, frame) in expected { #expect(try frame.bytes == vectors.frame(name), "\(name)") }
    #expect(vectors.frames.count == expected.count + 3)
  }

  @Test("Frames come back as they were written, in one piece and byte by byte")
  func roundTrip() throws {
    for (receiver, frames) in [
      (FrameDecoder.Receiver.client, Self.forClient), (.relay, Self.forRelay),
    ] {
      let bytes = frames.flatMap(\.bytes)
      #expect(try decode(bytes, for: receiver, piece: bytes.count) == frames)
      #expect(try decode(bytes, for: receiver, piece: 1) == frames)
      #expect(try decode(bytes, for: receiver, piece: 1447) == frames)
    }
  }

  @Test("A truncated frame is waited for, wherever it is cut")
  func truncation() throws {
    for frame in Self.forClient {
      for length in 0..<frame.bytes.count {
        let part = Array(frame.bytes.prefix(length))
        #expect(try decode(part, for: .client, piece: max(1, length)).isEmpty)
      }
    }
  }

  @Test(
    "A giant frame is refused by its header alone",
    arguments: [
      (FrameDecoder.Receiver.relay, Frame.Kind.sendPacket.rawValue, 32 + 65_537),
      (.relay, 0x77, FrameDecoder.maximumLength + 1),
      (.relay, Frame.Kind.ping.rawValue, 1001),
      (.relay, Frame.Kind.notePreferred.rawValue, 2),
      (.strangersRelay, Frame.Kind.clientInfo.rawValue, FrameDecoder.maximumClientInfo + 1),
      (.client, Frame.Kind.receivePacket.rawValue, FrameDecoder.maximumLength + 1),
      (.client, Frame.Kind.serverKey.rawValue, FrameDecoder.maximumServerKey + 1),
      (.client, 0xFF, Int(UInt32.max)),
    ]
  )
  func giant(_ receiver: FrameDecoder.Receiver, _ kind: UInt8, _ length: Int) {
    var decoder = FrameDecoder(for: receiver)
    var writer = ByteWriter()
    writer.bigEndian(kind)
    writer.bigEndian(UInt32(length))
    decoder.append(writer.bytes)
    #expect(throws: FrameError.tooLong(kind: kind, length: length)) { _ = try decoder.next() }
  }

  @Test("A frame too short for its kind is refused")
  func tooShort() {
    for (receiver, kind, length) in [
      (FrameDecoder.Receiver.relay, Frame.Kind.sendPacket, 31), (.relay, .ping, 7),
      (.relay, .notePreferred, 0), (.relay, .closePeer, 31), (.client, .peerGone, 31),
      (.client, .serverKey, 39), (.client, .restarting, 7), (.strangersRelay, .clientInfo, 71),
    ] {
      var decoder = FrameDecoder(for: receiver)
      decoder.append([kind.rawValue, 0, 0, 0, UInt8(length)])
      #expect(throws: FrameError.tooShort(kind: kind.rawValue, length: length)) {
        _ = try decoder.next()
      }
    }
  }

  @Test("Unknown kinds and kinds for the other side are passed over and counted")
  func passingOver() throws {
    var decoder = FrameDecoder(for: .relay)
    let strange: [UInt8] = [0x55, 0, 1, 0, 0] + [UInt8](repeating: 1, count: 65_536)
    let all = strange + Frame.keepAlive.bytes + Frame.ping(3).bytes
    var found: [Frame] = []
    for piece in stride(from: 0, to: all.count, by: 1000) {
      decoder.append(Array(all[piece..<min(piece + 1000, all.count)]))
      while let frame = try decoder.next() { found.append(frame) }
    }
    let passedOver = decoder.passedOver
    #expect(found == [.ping(3)])
    #expect(passedOver == 2)
  }

  @Test("The first frame of something that is no relay is refused")
  func badMagic() {
    var decoder = FrameDecoder(for: .client)
    decoder.append([0x01, 0, 0, 0, 40] + [UInt8](repeating: 0x20, count: 40))
    #expect(throws: FrameError.badMagic) { _ = try decoder.next() }
  }

  @Test("Damaged frames never crash the decoder")
  func mutations() throws {
    var entropy = Entropy(seed: 11)
    let corpus = try corpus()
    for round in 0..<6000 {
      var bytes = corpus[round % corpus.count]
      for _ in 0..<Int.random(in: 1...6, using: &entropy) where !bytes.isEmpty {
        let place = Int.random(in: 0..<bytes.count, using: &entropy)
        switch Int.random(in: 0..<3, using: &entropy) {
        case 0: bytes[place] = UInt8.random(in: 0...255, using: &entropy)
        case 1: bytes.remove(at: place)
        default: bytes.insert(UInt8.random(in: 0...255, using: &entropy), at: place)
        }
      }
      for receiver in [FrameDecoder.Receiver.client, .relay, .strangersRelay] {
        let whole = Result { try decode(bytes, for: receiver, piece: max(1, bytes.count)) }
        let dripped = Result { try decode(bytes, for: receiver, piece: 1) }
        switch (whole, dripped) {
        case (.success(let one), .success(let other)): #expect(one == other)
        case (.failure, .failure): break
        default: Issue.record("pieces made a difference in round \(round)")
        }
      }
    }
  }

  private func decode(
    _ bytes: [UInt8],
    for receiver: FrameDecoder.Receiver,
    piece: Int
  ) throws -> [Frame] {
    var decoder = FrameDecoder(for: receiver)
    var frames: [Frame] = []
    for start in stride(from: 0, to: bytes.count, by: piece) {
      decoder.append(Array(bytes[start..<min(start + piece, bytes.count)]))
      while let frame = try decoder.next() { frames.append(frame) }
    }
    return frames
  }

  private func corpus(file: String = #filePath) throws -> [[UInt8]] {
    let root = file.split(separator: "/").dropLast(4).joined(separator: "/")
    let folder = URL(filePath: "/\(root)/Fixtures/Corpora/DERP")
    let files = try FileManager.default.contentsOfDirectory(
      at: folder,
      includingPropertiesForKeys: nil
    )
    let seeds = try files.sorted { $0.path < $1.path }.map { Array(try Data(contentsOf: $0)) }
    try #require(!seeds.isEmpty)
    return seeds
  }
}
