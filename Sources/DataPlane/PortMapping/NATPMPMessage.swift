// SPDX-License-Identifier: Apache-2.0

package import Addressing
import Bytes

/// Why bytes are not the answer of a gateway that was expected.
package enum PortMappingError: Error, Hashable, Sendable {
  /// Fewer bytes than the message has, or more than it may have.
  case wrongLength(Int)
  /// Another version of the protocol.
  case version(UInt8)
  /// Not an answer, or to something that is never asked.
  case unexpectedOperation(UInt8)
  /// A protocol other than UDP.
  case protocolNumber(UInt8)
  /// The port 0, which stands for no port.
  case portZero
}

/// The requests of NAT-PMP, always to port 5351 of the gateway.
///
/// - Source: RFC 6886 §3.
package enum NATPMPRequest: Hashable, Sendable {
  /// Which address has the gateway outside?
  case externalAddress
  /// Forward UDP from `external` (a wish) to `internal`; a lifetime of 0 ends it.
  case map(internal: UInt16, external: UInt16, lifetimeSeconds: UInt32)

  /// The 2 or 12 bytes to send.
  package var bytes: [UInt8] {
    guard case .map(let `internal`, let external, let lifetime) = self else { return [0, 0] }
    var writer = ByteWriter(capacity: 12)
    writer.bigEndian(UInt32(0x0001_0000))
    writer.bigEndian(`internal`)
    writer.bigEndian(external)
    writer.bigEndian(lifetime)
    return writer.bytes
  }
}

/// An answer of NAT-PMP.
package struct NATPMPResponse: Hashable, Sendable {
  /// What it answers.
  package enum Body: Hashable, Sendable {
    /// The gateway's address outside; nil for none.
    case externalAddress(IPAddress?)
    /// A mapping granted, or ended where the lifetime is 0.
    case mapped(internal: UInt16, external: UInt16, lifetimeSeconds: UInt32)
    /// No, for that reason (1 version, 2 not authorised, 3 network, 4 resources, 5 operation).
    case refused(operation: UInt8, result: UInt16)
  }

  /// What it answers.
  package var body: Body
  /// Seconds since the gateway forgot all mappings.
  package var epoch: UInt32

  private static let answerBit: UInt8 = 0x80

  /// Reads an answer.
  package init(parsing datagram: [UInt8]) throws(PortMappingError) {
    do {
      var reader = ByteReader(datagram)
      let version = try reader.uint8()
      let operation = try reader.uint8()
      let result = try reader.uint16()
      epoch = try reader.uint32()
      guard version == 0 else { throw PortMappingError.version(version) }
      guard operation == Self.answerBit || operation == Self.answerBit | 1 else {
        throw PortMappingError.unexpectedOperation(operation)
      }
      guard result == 0 else {
        body = .refused(operation: operation & ~Self.answerBit, result: result)
        return
      }
      if operation == Self.answerBit {
        let address = IPAddress(v4: try reader.uint32())
        body = .externalAddress(address.isUnspecified ? nil : address)
      } else {
        let `internal` = try reader.uint16()
        let external = try reader.uint16()
        let lifetime = try reader.uint32()
        guard `internal` != 0, external != 0 || lifetime == 0 else {
          throw PortMappingError.portZero
        }
        body = .mapped(internal: `internal`, external: external, lifetimeSeconds: lifetime)
      }
      guard reader.isAtEnd else { throw PortMappingError.wrongLength(datagram.count) }
    } catch let error as PortMappingError {
      throw error
    } catch {
      throw .wrongLength(datagram.count)
    }
  }
}
