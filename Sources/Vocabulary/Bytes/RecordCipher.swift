// SPDX-License-Identifier: Apache-2.0

/// Seals and opens the records of an encrypted byte stream, in order.
///
/// The seam between a protocol that knows keys and a transport that knows sockets: the control
/// protocol implements it, the transport runs HTTP/2 over any of them. A failure to open ends the
/// stream for good: the state after it is undefined.
public protocol RecordCipher: Sendable {
  /// Seals `plaintext`, of any length, into one or more records.
  mutating func seal(_ plaintext: [UInt8]) throws -> [UInt8]
  /// Takes bytes as they came off the wire, in pieces of any size, and returns what could be opened.
  ///
  /// - Throws: when a record is malformed, too large or not authentic.
  mutating func open(_ ciphertext: [UInt8]) throws -> [UInt8]
}
