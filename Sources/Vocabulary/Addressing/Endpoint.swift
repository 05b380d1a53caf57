// SPDX-License-Identifier: Apache-2.0

public import Bytes

/// An address and a UDP or TCP port: where a node may be reached.
public struct Endpoint: Hashable, Sendable {
  /// The address.
  public let address: IPAddress
  /// The port.
  public let port: UInt16

  /// An address and a port.
  @inlinable public init(_ address: IPAddress, port: UInt16) {
    self.address = address
    self.port = port
  }

  /// The 18-byte form of discovery messages: 16 bytes of address (IPv4 mapped), then the port.
  public var discoveryBytes: [UInt8] {
    address.bytesMapped + [UInt8(port >> 8), UInt8(truncatingIfNeeded: port)]
  }

  /// Reads the 18-byte form of discovery messages.
  public init(reading reader: inout ByteReader) throws(TruncatedError) {
    let high = try reader.uint64()
    let low = try reader.uint64()
    self.init(IPAddress(high: high, low: low).unmapped, port: try reader.uint16())
  }
}

extension Endpoint: LosslessStringConvertible, Comparable {
  /// `a.b.c.d:port` or `[v6]:port`.
  public var description: String { address.isV4 ? "\(address):\(port)" : "[\(address)]:\(port)" }

  /// The endpoint that `text` spells: `a.b.c.d:port` or `[v6]:port`.
  public init?(_ text: String) { self.init(Substring(text)) }

  /// The endpoint that `text` spells: `a.b.c.d:port` or `[v6]:port`.
  public init?(_ text: Substring) {
    guard let colon = text.lastIndex(of: ":") else { return nil }
    var host = text[..<colon]
    let bracketed = host.hasPrefix("[") && host.hasSuffix("]")
    if bracketed { host = host.dropFirst().dropLast() }
    let digits = text[text.index(after: colon)...]
    guard let address = IPAddress(host), address.isV4 != bracketed,
      digits.utf8.allSatisfy({ (48...57).contains($0) }), let port = UInt16(digits)
    else { return nil }
    self.init(address, port: port)
  }

  /// By address, then by port.
  public static func < (left: Endpoint, right: Endpoint) -> Bool {
    left.address == right.address ? left.port < right.port : left.address < right.address
  }
}
