// SPDX-License-Identifier: Apache-2.0

package import Addressing
import Bytes

/// The requests of the Port Control Protocol, always to port 5351 of the gateway.
///
/// | Offset | Bytes | Field |
/// |---|---|---|
/// | 0 | 1 | version 2 |
/// | 1 | 1 | operation: 0 ANNOUNCE, 1 MAP; an answer has the top bit |
/// | 4 | 4 | lifetime in seconds |
/// | 8 | 16 | our address (an answer: epoch and zeros) |
/// | 24 | 12 | MAP: nonce, comes back |
/// | 36 | 4 | MAP: protocol 17, zeros |
/// | 40 | 2+2 | MAP: internal and external port |
/// | 44 | 16 | MAP: external address |
///
/// - Source: RFC 6887 §§7.1, 11.1, 14.1.
package enum PCPRequest: Hashable, Sendable {
  /// Is there a server?
  case announce(client: IPAddress)
  /// Forward UDP from `external` (a wish) to `internal`; a lifetime of 0 ends it.
  case map(
    client: IPAddress,
    nonce: [UInt8],
    internal: UInt16,
    external: UInt16,
    lifetimeSeconds: UInt32
  )

  static let nonceLength = 12
  static let version: UInt8 = 2
  static let udp: UInt8 = 17

  /// The 24 or 60 bytes to send.
  package var bytes: [UInt8] {
    var writer = ByteWriter(capacity: 60)
    switch self {
    case .announce(let client):
      writer.write([Self.version, 0, 0, 0])
      writer.zeros(4)
      writer.write(client.bytesMapped)
    case .map(let client, let nonce, let `internal`, let external, let lifetime):
      precondition(nonce.count == Self.nonceLength, "a PCP nonce has 12 bytes")
      writer.write([Self.version, 1, 0, 0])
      writer.bigEndian(lifetime)
      writer.write(client.bytesMapped)
      writer.write(nonce)
      writer.write([Self.udp, 0, 0, 0])
      writer.bigEndian(`internal`)
      writer.bigEndian(external)
      writer.write(IPAddress(v4: 0).bytesMapped)
    }
    return writer.bytes
  }
}

/// An answer of the Port Control Protocol.
package struct PCPResponse: Hashable, Sendable {
  /// What it answers.
  package enum Body: Hashable, Sendable {
    /// There is a server.
    case announce
    /// A mapping granted, or ended where the lifetime is 0.
    case mapped(nonce: [UInt8], internal: UInt16, external: Endpoint)
    /// No, for that reason (2 not authorised, 8 resources, 12 address mismatch and so on).
    case refused(operation: UInt8, result: UInt8)
  }

  /// What it answers.
  package var body: Body
  /// How long it holds.
  package var lifetimeSeconds: UInt32
  /// Seconds since the gateway forgot all mappings.
  package var epoch: UInt32

  private static let answerBit: UInt8 = 0x80
  /// The longest message of the protocol (RFC 6887 §7).
  private static let maximumLength = 1100

  /// Reads an answer; options behind it are passed over.
  package init(parsing datagram: [UInt8]) throws(PortMappingError) {
    guard datagram.count <= Self.maximumLength else { throw .wrongLength(datagram.count) }
    do {
      var reader = ByteReader(datagram)
      let version = try reader.uint8()
      let operation = try reader.uint8()
      _ = try reader.uint8()
      let result = try reader.uint8()
      lifetimeSeconds = try reader.uint32()
      epoch = try reader.uint32()
      _ = try reader.take(12)
      guard version == PCPRequest.version else { throw PortMappingError.version(version) }
      guard operation == Self.answerBit || operation == Self.answerBit | 1 else {
        throw PortMappingError.unexpectedOperation(operation)
      }
      guard result == 0 else {
        body = .refused(operation: operation & ~Self.answerBit, result: result)
        return
      }
      guard operation != Self.answerBit else {
        body = .announce
        return
      }
      let nonce = Array(try reader.take(PCPRequest.nonceLength))
      let number = try reader.uint8()
      _ = try reader.take(3)
      let `internal` = try reader.uint16()
      let port = try reader.uint16()
      let address = IPAddress(bytes: try reader.take(16)) ?? .unspecified(.v6)
      guard number == PCPRequest.udp else { throw PortMappingError.protocolNumber(number) }
      guard `internal` != 0, port != 0 || lifetimeSeconds == 0 else {
        throw PortMappingError.portZero
      }
      let external = Endpoint(address.unmapped, port: port)
      body = .mapped(nonce: nonce, internal: `internal`, external: external)
    } catch let error as PortMappingError {
      throw error
    } catch {
      throw .wrongLength(datagram.count)
    }
  }
}
