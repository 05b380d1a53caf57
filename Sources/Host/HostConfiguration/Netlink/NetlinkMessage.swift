// SPDX-License-Identifier: Apache-2.0

import CHost

/// Bytes from the kernel that are no netlink message.
enum NetlinkError: Error, Hashable {
  /// A header or an attribute tells a length that does not fit what holds it.
  case badLength(Int, within: Int)
  /// A message is shorter than its kind's fixed part.
  case truncated(needed: Int, got: Int)
  /// A field has a value that cannot be.
  case badValue
}

/// One message of rtnetlink, its length and padding taken off.
///
/// ```
/// 0       4      6       8          12       16
/// | length | kind | flags | sequence | port   | body …  (padded to 4)
/// ```
///
/// Everything is in host byte order. - Source: netlink(7), RFC 3549 §2.3.
struct NetlinkMessage: Hashable {
  static let headerSize = 16

  var kind: UInt16
  var flags: UInt16 = 0
  var sequence: UInt32 = 0
  /// The socket that asked for what the message tells; zero is the kernel itself.
  var port: UInt32 = 0
  var body: ArraySlice<UInt8>

  /// Cuts a datagram into its messages.
  static func parse(_ datagram: ArraySlice<UInt8>) throws(NetlinkError) -> [NetlinkMessage] {
    var messages: [NetlinkMessage] = []
    var rest = datagram
    while !rest.isEmpty {
      guard rest.count >= headerSize else {
        throw .truncated(needed: headerSize, got: rest.count)
      }
      let length = Int(rest.native(UInt32.self, at: 0))
      guard length >= headerSize, length <= rest.count else {
        throw .badLength(length, within: rest.count)
      }
      messages.append(
        NetlinkMessage(
          kind: rest.native(UInt16.self, at: 4),
          flags: rest.native(UInt16.self, at: 6),
          sequence: rest.native(UInt32.self, at: 8),
          port: rest.native(UInt32.self, at: 12),
          body: rest.dropFirst(headerSize).prefix(length - headerSize)
        )
      )
      rest = rest.dropFirst(aligned(length))
    }
    return messages
  }

  /// The body's fixed part of `size` bytes.
  func fixed(_ size: Int) throws(NetlinkError) -> ArraySlice<UInt8> {
    guard body.count >= size else { throw .truncated(needed: size, got: body.count) }
    return body.prefix(size)
  }

  /// The attributes behind a fixed part of `size` bytes.
  func attributes(after size: Int) throws(NetlinkError) -> [NetlinkAttribute] {
    try NetlinkAttribute.parse(body.dropFirst(aligned(size)))
  }
}

/// One attribute: a kind and a value, which may hold attributes in turn.
///
/// ```
/// 0        2      4
/// | length | kind | value …  (padded to 4)
/// ```
struct NetlinkAttribute: Hashable {
  static let headerSize = 4

  let kind: UInt16
  let value: ArraySlice<UInt8>

  /// Cuts `bytes` into attributes.
  static func parse(_ bytes: ArraySlice<UInt8>) throws(NetlinkError) -> [NetlinkAttribute] {
    var attributes: [NetlinkAttribute] = []
    var rest = bytes
    while !rest.isEmpty {
      guard rest.count >= headerSize else {
        throw .truncated(needed: headerSize, got: rest.count)
      }
      let length = Int(rest.native(UInt16.self, at: 0))
      guard length >= headerSize, length <= rest.count else {
        throw .badLength(length, within: rest.count)
      }
      attributes.append(
        NetlinkAttribute(
          // The two topmost bits say how the value is coded.
          kind: rest.native(UInt16.self, at: 2) & 0x3FFF,
          value: rest.dropFirst(headerSize).prefix(length - headerSize)
        )
      )
      rest = rest.dropFirst(aligned(length))
    }
    return attributes
  }

  /// The value as an integer of exactly that width.
  func integer<Value: FixedWidthInteger & UnsignedInteger>(
    _: Value.Type = Value.self
  ) throws(NetlinkError) -> Value {
    guard value.count == MemoryLayout<Value>.size else {
      throw .truncated(needed: MemoryLayout<Value>.size, got: value.count)
    }
    return value.native(Value.self, at: 0)
  }

  /// The value as text, up to its closing zero.
  var text: String { String(decoding: value.prefix { $0 != 0 }, as: UTF8.self) }
}

/// The length with its padding.
func aligned(_ length: Int) -> Int { (length + 3) & ~3 }

extension ArraySlice<UInt8> {
  /// The integer in host byte order at `offset` from the start, which must lie within.
  func native<Value: FixedWidthInteger & UnsignedInteger>(_: Value.Type, at offset: Int) -> Value {
    var value: Value = 0
    for (place, byte) in self[(startIndex + offset)...].prefix(Value.bitWidth / 8).enumerated() {
      value |= Value(truncatingIfNeeded: byte) << (8 * place)
    }
    return Value(littleEndian: value)
  }
}
