// SPDX-License-Identifier: Apache-2.0

import Bytes
package import JSON
package import Keys

/// What a server may say before HTTP/2 begins inside the Noise connection.
///
///     ff ff ff 'T' 'S' · length (4, big-endian) · JSON
///
/// - Source: `Documentation/Protocols/control.md`, the early payload.
package struct EarlyNoise: Hashable, Sendable, JSONReadable, JSONWritable {
  /// What the payload begins with: no HTTP/2 frame does.
  static let magic: [UInt8] = [0xFF, 0xFF, 0xFF, UInt8(ascii: "T"), UInt8(ascii: "S")]
  /// Magic and length.
  static let headerCount = 9
  /// The longest JSON that is accepted.
  package static let maximumBytes = 10 << 20

  /// A key to prove the possession of a node key to.
  package var nodeKeyChallenge: ChallengeKey = .zero

  /// One with this challenge.
  package init(nodeKeyChallenge: ChallengeKey = .zero) { self.nodeKeyChallenge = nodeKeyChallenge }

  /// Reads the JSON object.
  package init(reading reader: inout JSONReader) throws(JSONError) {
    self.init()
    try reader.fields { (member, reader) throws(JSONError) in
      switch member {
      case "nodeKeyChallenge": nodeKeyChallenge = try reader.key()
      default: try reader.skip()
      }
    }
  }

  /// Writes the JSON object.
  package func write(to writer: inout JSONWriter) {
    writer.object { $0.field("nodeKeyChallenge", text: nodeKeyChallenge) }
  }

  /// The bytes to send before HTTP/2, not sealed yet.
  package var payload: [UInt8] {
    let json = json
    var writer = ByteWriter(capacity: Self.headerCount + json.count)
    writer.write(Self.magic)
    writer.bigEndian(UInt32(json.count))
    writer.write(json)
    return writer.bytes
  }
}
