// SPDX-License-Identifier: Apache-2.0

import Addressing
import CHost

/// A message on its way to the kernel.
struct NetlinkRequest {
  private(set) var bytes: [UInt8] = []
  /// What it asks, as it follows "cannot".
  let operation: String

  /// A request of a kind, with nothing behind its header.
  init(_ kind: UInt16, flags: UInt16, operation: String) {
    self.operation = operation
    append(UInt32(0))
    append(kind)
    append(flags | Flags.request)
    append(UInt32(0))
    append(UInt32(0))
  }

  /// The flags that requests carry.
  enum Flags {
    static let request: UInt16 = 0x001
    static let acknowledge: UInt16 = 0x004
    static let dump: UInt16 = 0x300
    static let replace: UInt16 = 0x100
    static let exclusive: UInt16 = 0x200
    static let create: UInt16 = 0x400
  }

  /// Appends an integer in host byte order.
  mutating func append(_ value: some FixedWidthInteger & UnsignedInteger) {
    var rest = value.littleEndian
    for _ in 0..<value.bitWidth / 8 {
      bytes.append(UInt8(truncatingIfNeeded: rest))
      rest = value.bitWidth == 8 ? 0 : rest >> 8
    }
  }

  /// Appends an attribute.
  mutating func attribute(_ kind: some BinaryInteger, _ value: some Collection<UInt8>) {
    append(UInt16(NetlinkAttribute.headerSize + value.count))
    append(UInt16(kind))
    bytes.append(contentsOf: value)
    bytes.append(contentsOf: repeatElement(0, count: aligned(bytes.count) - bytes.count))
  }

  /// Appends an attribute whose value is an integer.
  mutating func attribute(_ kind: some BinaryInteger, _ value: UInt32) {
    append(UInt16(NetlinkAttribute.headerSize + 4))
    append(UInt16(kind))
    append(value)
  }

  /// Appends an attribute whose value is one byte.
  mutating func attribute(_ kind: some BinaryInteger, _ value: UInt8) { attribute(kind, [value]) }

  /// Appends an attribute whose value is text, with its closing zero.
  mutating func attribute(_ kind: some BinaryInteger, _ text: String) {
    attribute(kind, Array(text.utf8) + [0])
  }

  /// The bytes to send, with the length and the sequence number filled in.
  func finished(sequence: UInt32) -> [UInt8] {
    var header = NetlinkRequest(0, flags: 0, operation: "")
    header.bytes.removeAll()
    header.append(UInt32(bytes.count))
    var finished = bytes
    finished.replaceSubrange(0..<4, with: header.bytes)
    header.bytes.removeAll()
    header.append(sequence)
    finished.replaceSubrange(8..<12, with: header.bytes)
    return finished
  }
}

extension IPAddress.Family {
  /// The number of the family in the host's interfaces: AF_INET or AF_INET6.
  var number: UInt8 { self == .v4 ? 2 : 10 }

  /// The family of a number; nil for others.
  init?(number: UInt8) {
    switch number {
    case 2: self = .v4
    case 10: self = .v6
    default: return nil
    }
  }
}
