// SPDX-License-Identifier: Apache-2.0

import Bytes
import Cryptography

/// The messages of a handshake: their types, sizes and fields.
///
/// | Message | Type | Size | Fields after the type |
/// |---|---|---|---|
/// | initiation | 1 | 148 | sender 4, ephemeral 32, static 48, timestamp 28, MAC1 16, MAC2 16 |
/// | response | 2 | 92 | sender 4, receiver 4, ephemeral 32, empty 16, MAC1 16, MAC2 16 |
/// | cookie reply | 3 | 64 | receiver 4, nonce 24, sealed cookie 32 |
///
/// A received message is kept as it came, and its fields are read where they lie.
///
/// - Source: WireGuard paper §5.4.
enum HandshakeMessage {
  static let macLength = 16

  struct Initiation {
    static let type: UInt32 = 1
    static let length = 148
    static let sealedStatic = 40..<88
    static let sealedStamp = 88..<116

    let bytes: [UInt8]

    init?(_ message: [UInt8]) {
      guard message.count == Self.length, word(message, at: 0) == Self.type else { return nil }
      bytes = message
    }

    var sender: UInt32 { word(bytes, at: 4) }
    var ephemeral: Bytes32 { Bytes32(loading: bytes.span, at: 8) }

    /// The front of a message, with room for what is sealed into it and for its MACs.
    static func begin(sender: UInt32, ephemeral: Bytes32) -> [UInt8] {
      var writer = ByteWriter(capacity: length)
      writer.littleEndian(type)
      writer.littleEndian(sender)
      return writer.ending(with: ephemeral)
    }
  }

  struct Response {
    static let type: UInt32 = 2
    static let length = 92
    static let sealedEmpty = 44..<60

    let bytes: [UInt8]

    init?(_ message: [UInt8]) {
      guard message.count == Self.length, word(message, at: 0) == Self.type else { return nil }
      bytes = message
    }

    var sender: UInt32 { word(bytes, at: 4) }
    var receiver: UInt32 { word(bytes, at: 8) }
    var ephemeral: Bytes32 { Bytes32(loading: bytes.span, at: 12) }

    /// The front of a message, with room for what is sealed into it and for its MACs.
    static func begin(sender: UInt32, receiver: UInt32, ephemeral: Bytes32) -> [UInt8] {
      var writer = ByteWriter(capacity: length)
      writer.littleEndian(type)
      writer.littleEndian(sender)
      writer.littleEndian(receiver)
      return writer.ending(with: ephemeral)
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
    UInt32(message[offset]) | UInt32(message[offset + 1]) << 8
      | UInt32(message[offset + 2]) << 16 | UInt32(message[offset + 3]) << 24
  }
}

private func word(_ message: [UInt8], at offset: Int) -> UInt32 {
  HandshakeMessage.word(message, at: offset)
}

extension ByteWriter {
  /// What has been written and a key behind it, in the memory that was reserved.
  fileprivate consuming func ending(with key: Bytes32) -> [UInt8] {
    var bytes = (consume self).bytes
    key.append(to: &bytes)
    return bytes
  }
}
