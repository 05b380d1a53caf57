// SPDX-License-Identifier: Apache-2.0

import Bytes
import Cryptography

/// Why a control connection's record is not acceptable.
package enum ControlCipherError: Error, Hashable, Sendable {
  /// Something other than a record came.
  case unexpectedKind(UInt8)
  /// A record announces more than is allowed, or less than a tag.
  case badLength(Int)
  /// A record was altered, or is out of order.
  case notAuthentic
  /// So many records were sealed that the next would need a number twice.
  case exhausted
  /// The direction failed before.
  case broken
}

/// Seals and opens the records of a control connection.
///
///     kind 4 · length (2, big-endian) · sealed bytes, tag included
///
/// A record has at most 4096 bytes, header included. The nonce is four zero bytes and a counter,
/// big-endian: not the order of bytes that Noise prescribes.
///
/// - Source: `Documentation/Protocols/control.md`, records.
package struct ControlCipher: RecordCipher {
  /// How many bytes a record has at most, header included.
  package static let maximumRecord = 4096
  /// How many bytes one record carries at most.
  package static let maximumPlaintext = maximumRecord - headerCount - tagCount

  private static let headerCount = 3
  private static let tagCount = 16

  private let sendingKey: [UInt8]
  private let receivingKey: [UInt8]
  private var sendingCounter: UInt64 = 0
  private var receivingCounter: UInt64 = 0
  private var held: [UInt8] = []
  private var isBroken = false

  init(
    sending: [UInt8],
    receiving: [UInt8],
    sendingCounter: UInt64 = 0,
    receivingCounter: UInt64 = 0
  ) {
    sendingKey = sending
    receivingKey = receiving
    self.sendingCounter = sendingCounter
    self.receivingCounter = receivingCounter
  }

  /// Seals bytes into as many records as they need; none for no bytes.
  package mutating func seal(_ plaintext: [UInt8]) throws(ControlCipherError) -> [UInt8] {
    let records = (plaintext.count + Self.maximumPlaintext - 1) / Self.maximumPlaintext
    var sealed: [UInt8] = []
    sealed.reserveCapacity(plaintext.count + records * (Self.headerCount + Self.tagCount))
    for start in stride(from: 0, to: plaintext.count, by: Self.maximumPlaintext) {
      let end = min(start + Self.maximumPlaintext, plaintext.count)
      try sealRecord(plaintext[start..<end], into: &sealed)
    }
    return sealed
  }

  private mutating func sealRecord(
    _ piece: ArraySlice<UInt8>,
    into sealed: inout [UInt8]
  ) throws(ControlCipherError) {
    guard sendingCounter != .max else { throw .exhausted }
    let count = piece.count + Self.tagCount
    sealed += [ControlHandshake.Kind.record, UInt8(count >> 8), UInt8(truncatingIfNeeded: count)]
    sealed += ChaCha20Poly1305.seal(
      Array(piece),
      key: sendingKey,
      nonce: Self.nonce(sendingCounter)
    )
    sendingCounter += 1
  }

  /// Takes bytes off the wire, in pieces of any size, and returns what whole records carry.
  ///
  /// After a failure nothing opens any more.
  package mutating func open(_ ciphertext: [UInt8]) throws(ControlCipherError) -> [UInt8] {
    guard !isBroken else { throw .broken }
    held += ciphertext
    var opened: [UInt8] = []
    var position = 0
    do throws(ControlCipherError) {
      while let record = try Self.record(in: held, at: position) {
        guard receivingCounter != .max else { throw .exhausted }
        guard
          let plaintext = ChaCha20Poly1305.open(
            Array(held[record]),
            key: receivingKey,
            nonce: Self.nonce(receivingCounter)
          )
        else { throw .notAuthentic }
        receivingCounter += 1
        opened += plaintext
        position = record.upperBound
      }
    } catch {
      isBroken = true
      held = []
      throw error
    }
    held.removeFirst(position)
    return opened
  }

  /// Where the sealed bytes of the record at `position` are; nil until all are there.
  private static func record(
    in bytes: [UInt8],
    at position: Int
  ) throws(ControlCipherError) -> Range<Int>? {
    guard position < bytes.count else { return nil }
    guard bytes[position] == ControlHandshake.Kind.record else {
      throw .unexpectedKind(bytes[position])
    }
    guard position + headerCount <= bytes.count else { return nil }
    let count = Int(bytes[position + 1]) << 8 | Int(bytes[position + 2])
    guard (tagCount...maximumRecord - headerCount).contains(count) else { throw .badLength(count) }
    let start = position + headerCount
    return start + count <= bytes.count ? start..<start + count : nil
  }

  private static func nonce(_ counter: UInt64) -> [UInt8] {
    var writer = ByteWriter(capacity: 12)
    writer.zeros(4)
    writer.bigEndian(counter)
    return writer.bytes
  }
}
