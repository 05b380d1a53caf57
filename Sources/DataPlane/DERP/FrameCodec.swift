// SPDX-License-Identifier: Apache-2.0

import Addressing
import Bytes
import Keys

extension Frame {
  /// `DERP` and a key emoji.
  static let magic: [UInt8] = [0x44, 0x45, 0x52, 0x50, 0xF0, 0x9F, 0x94, 0x91]

  /// The bytes of this frame.
  public var bytes: [UInt8] {
    var bytes: [UInt8] = []
    write(to: &bytes)
    return bytes
  }

  /// Appends this frame to bytes that are to be sent.
  public func write(to output: inout [UInt8]) {
    switch self {
    case .serverKey(let key): Self.write(.serverKey, Self.magic + key.bytes, to: &output)
    case .clientInfo(let key, let sealed): Self.write(.clientInfo, key.bytes + sealed, to: &output)
    case .serverInfo(let sealed): Self.write(.serverInfo, sealed, to: &output)
    case .sendPacket(let key, let packet):
      Self.writePacket(.sendPacket, key, packet[...], to: &output)
    case .receivePacket(let key, let packet):
      Self.writePacket(.receivePacket, key, packet[...], to: &output)
    case .keepAlive: Self.write(.keepAlive, [], to: &output)
    case .notePreferred(let isHome): Self.write(.notePreferred, [isHome ? 1 : 0], to: &output)
    case .peerGone(let key, let reason):
      Self.write(.peerGone, key.bytes + [reason.rawValue], to: &output)
    case .peerPresent(let key, let endpoint, let flags):
      let place = endpoint?.discoveryBytes ?? [UInt8](repeating: 0, count: 18)
      Self.write(.peerPresent, key.bytes + place + [flags], to: &output)
    case .forwardPacket(let source, let destination, let packet):
      Self.write(.forwardPacket, source.bytes + destination.bytes + packet, to: &output)
    case .watchConnections: Self.write(.watchConnections, [], to: &output)
    case .closePeer(let key): Self.write(.closePeer, key.bytes, to: &output)
    case .ping(let token): Self.write(.ping, Self.bytes(of: token), to: &output)
    case .pong(let token): Self.write(.pong, Self.bytes(of: token), to: &output)
    case .health(let text): Self.write(.health, Array(text.utf8), to: &output)
    case .restarting(let reconnect, let attempt):
      var writer = ByteWriter(capacity: 8)
      writer.bigEndian(UInt32(clamping: Int(reconnect / .milliseconds(1))))
      writer.bigEndian(UInt32(clamping: Int(attempt / .milliseconds(1))))
      Self.write(.restarting, writer.bytes, to: &output)
    }
  }

  private static func bytes(of token: UInt64) -> [UInt8] {
    var writer = ByteWriter(capacity: 8)
    writer.bigEndian(token)
    return writer.bytes
  }

  private static func write(_ kind: Kind, _ payload: [UInt8], to output: inout [UInt8]) {
    writeHeader(kind, payload.count, to: &output)
    output += payload
  }

  /// Appends a frame that carries a packet.
  static func writePacket(
    _ kind: Kind,
    _ key: NodeKey,
    _ packet: ArraySlice<UInt8>,
    to output: inout [UInt8]
  ) {
    writeHeader(kind, 32 + packet.count, to: &output)
    write(key, to: &output)
    output += packet
  }

  /// Appends a frame that passes a packet on to another relay.
  static func writeForwarded(
    _ source: NodeKey,
    _ destination: NodeKey,
    _ packet: [UInt8],
    to output: inout [UInt8]
  ) {
    writeHeader(.forwardPacket, 64 + packet.count, to: &output)
    write(source, to: &output)
    write(destination, to: &output)
    output += packet
  }

  private static func write(_ key: NodeKey, to output: inout [UInt8]) {
    let words = key.words
    // SAFETY: the bytes are copied before the closure returns.
    unsafe withUnsafeBytes(
      of: (
        words.0.bigEndian, words.1.bigEndian, words.2.bigEndian, words.3.bigEndian
      )
    ) { bytes in
      unsafe output.append(contentsOf: bytes)
    }
  }

  private static func writeHeader(_ kind: Kind, _ length: Int, to output: inout [UInt8]) {
    let length = UInt32(length)
    output.append(kind.rawValue)
    output.append(UInt8(truncatingIfNeeded: length >> 24))
    output.append(UInt8(truncatingIfNeeded: length >> 16))
    output.append(UInt8(truncatingIfNeeded: length >> 8))
    output.append(UInt8(truncatingIfNeeded: length))
  }
}

extension Frame {
  /// The frame of a known kind with this payload, which has a length that the kind may have.
  init(_ kind: Kind, _ payload: ArraySlice<UInt8>) throws(FrameError) {
    do {
      var reader = ByteReader(payload)
      self = try Self.read(kind, &reader)
    } catch {
      switch error {
      case .magic: throw .badMagic
      case .truncated: throw .tooShort(kind: kind.rawValue, length: payload.count)
      }
    }
  }

  private enum Damage: Error {
    case truncated
    case magic
  }

  private static func read(_ kind: Kind, _ reader: inout ByteReader) throws(Damage) -> Frame {
    switch kind {
    case .serverKey:
      guard try take(8, &reader).elementsEqual(magic) else { throw .magic }
      return .serverKey(try key(&reader))
    case .clientInfo: return .clientInfo(try key(&reader), sealed: Array(reader.takeRest()))
    case .serverInfo: return .serverInfo(sealed: Array(reader.takeRest()))
    case .sendPacket: return .sendPacket(to: try key(&reader), Array(reader.takeRest()))
    case .receivePacket: return .receivePacket(from: try key(&reader), Array(reader.takeRest()))
    case .keepAlive: return .keepAlive
    case .notePreferred: return .notePreferred(try take(1, &reader).first != 0)
    case .peerGone:
      // Old relays give no reason.
      let key = try key(&reader)
      return .peerGone(key, PeerGoneReason(rawValue: reader.takeRest().first ?? 0))
    case .peerPresent: return try readPresence(&reader)
    case .forwardPacket:
      let source = try key(&reader)
      return .forwardPacket(from: source, to: try key(&reader), Array(reader.takeRest()))
    case .watchConnections: return .watchConnections
    case .closePeer: return .closePeer(try key(&reader))
    case .ping: return .ping(try token(&reader))
    case .pong: return .pong(try token(&reader))
    case .health: return .health(String(decoding: reader.takeRest(), as: UTF8.self))
    case .restarting:
      let words = try token(&reader)
      return .restarting(
        reconnectIn: .milliseconds(Int64(words >> 32)),
        tryFor: .milliseconds(Int64(words & 0xFFFF_FFFF))
      )
    }
  }

  private static func readPresence(_ reader: inout ByteReader) throws(Damage) -> Frame {
    let key = try key(&reader)
    guard reader.remaining >= 18 else { return .peerPresent(key, nil, flags: 0) }
    var place = ByteReader(try take(18, &reader))
    // Eighteen bytes are there.
    let endpoint = try? Endpoint(reading: &place)
    let known = endpoint.flatMap { $0.port == 0 && $0.address.isUnspecified ? nil : $0 }
    return .peerPresent(key, known, flags: reader.takeRest().first ?? 0)
  }

  private static func take(
    _ count: Int,
    _ reader: inout ByteReader
  ) throws(Damage) -> ArraySlice<UInt8> {
    do { return try reader.take(count) } catch { throw .truncated }
  }

  private static func key(_ reader: inout ByteReader) throws(Damage) -> NodeKey {
    guard let key = NodeKey(bytes: try take(32, &reader)) else { throw .truncated }
    return key
  }

  private static func token(_ reader: inout ByteReader) throws(Damage) -> UInt64 {
    do { return try reader.uint64() } catch { throw .truncated }
  }
}
