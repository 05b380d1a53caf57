// SPDX-License-Identifier: Apache-2.0

import Bytes

/// The messages of a handshake: their types, sizes and fields.
///
/// | Message | Type | Size | Fields after the type |
/// |---|---|---|---|
/// | initiation | 1 | 148 | sender 4, ephemeral 32, static 48, timestamp 28, MAC1 16, MAC2 16 |
/// | response | 2 | 92 | sender 4, receiver 4, ephemeral 32, empty 16, MAC1 16, MAC2 16 |
/// | cookie reply | 3 | 64 | receiver 4, nonce 24, sealed cookie 32 |
///
/// - Source: WireGuard paper §5.4.
enum HandshakeMessage {
  static let macLength = 16

  struct Initiation {
    static let type: UInt32 = 1
    static let length = 148

    let sender: UInt32
    let ephemeral: [UInt8]
    let sealedStatic: [UInt8]
    let sealedStamp: [UInt8]

    init?(_ message: [UInt8]) {
      guard message.count == Self.length, word(message, at: 0) == Self.type else { return nil }
      sender = word(message, at: 4)
      ephemeral = Array(message[8..<40])
      sealedStatic = Array(message[40..<88])
      sealedStamp = Array(message[88..<116])
    }

    init(sender: UInt32, ephemeral: [UInt8], sealedStatic: [UInt8], sealedStamp: [UInt8]) {
      (self.sender, self.ephemeral) = (sender, ephemeral)
      (self.sealedStatic, self.sealedStamp) = (sealedStatic, sealedStamp)
    }

    /// Everything before the MACs.
    var body: [UInt8] {
      var writer = ByteWriter(capacity: Self.length)
      writer.littleEndian(Self.type)
      writer.littleEndian(sender)
      writer.write(ephemeral)
      writer.write(sealedStatic)
      writer.write(sealedStamp)
      return writer.bytes
    }
  }

  struct Response {
    static let type: UInt32 = 2
    static let length = 92

    let sender: UInt32
    let receiver: UInt32
    let ephemeral: [UInt8]
    let sealedEmpty: [UInt8]

    init?(_ message: [UInt8]) {
      guard message.count == Self.length, word(message, at: 0) == Self.type else { return nil }
      sender = word(message, at: 4)
      receiver = word(message, at: 8)
      ephemeral = Array(message[12..<44])
      sealedEmpty = Array(message[44..<60])
    }

    init(sender: UInt32, receiver: UInt32, ephemeral: [UInt8], sealedEmpty: [UInt8]) {
      (self.sender, self.receiver) = (sender, receiver)
      (self.ephemeral, self.sealedEmpty) = (ephemeral, sealedEmpty)
    }

    /// Everything before the MACs.
    var body: [UInt8] {
      var writer = ByteWriter(capacity: Self.length)
      writer.littleEndian(Self.type)
      writer.littleEndian(sender)
      writer.littleEndian(receiver)
      writer.write(ephemeral)
      writer.write(sealedEmpty)
      return writer.bytes
    }
  }

  struct CookieReply {
    static let type: UInt32 = 3
    static let length = 64

    let receiver: UInt32
    let nonce: [UInt8]
    let sealedCookie: [UInt8]

    init?(_ message: [UInt8]) {
      guard message.count == Self.length, word(message, at: 0) == Self.type else { return nil }
      receiver = word(message, at: 4)
      nonce = Array(message[8..<32])
      sealedCookie = Array(message[32..<64])
    }

    init(receiver: UInt32, nonce: [UInt8], sealedCookie: [UInt8]) {
      (self.receiver, self.nonce, self.sealedCookie) = (receiver, nonce, sealedCookie)
    }

    var bytes: [UInt8] {
      var writer = ByteWriter(capacity: Self.length)
      writer.littleEndian(Self.type)
      writer.littleEndian(receiver)
      writer.write(nonce)
      writer.write(sealedCookie)
      return writer.bytes
    }
  }

  /// Four bytes, little-endian, of a message that is known to be long enough.
  static func word(_ message: [UInt8], at offset: Int) -> UInt32 {
    message[offset..<offset + 4].reversed().reduce(0) { $0 << 8 | UInt32($1) }
  }
}

private func word(_ message: [UInt8], at offset: Int) -> UInt32 {
  HandshakeMessage.word(message, at: offset)
}
