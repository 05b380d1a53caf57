// SPDX-License-Identifier: Apache-2.0

package import JSON
package import Keys

/// The keys of a coordination server, as `GET /key` tells them.
package struct ServerKeys: Hashable, Sendable, JSONReadable, JSONWritable {
  /// How many bytes of an answer a client reads.
  package static let maximumBytes = 64 << 10

  /// The key of an older transport; zero today.
  package var legacyPublicKey: MachineKey = .zero
  /// The key of the Noise connection.
  package var publicKey: MachineKey = .zero

  /// One with these keys.
  package init(legacyPublicKey: MachineKey = .zero, publicKey: MachineKey = .zero) {
    self.legacyPublicKey = legacyPublicKey
    self.publicKey = publicKey
  }

  /// Reads the JSON object.
  package init(reading reader: inout JSONReader) throws(JSONError) {
    self.init()
    try reader.fields { (member, reader) throws(JSONError) in
      switch member {
      case "legacyPublicKey": legacyPublicKey = try reader.key()
      case "publicKey": publicKey = try reader.key()
      default: try reader.skip()
      }
    }
  }

  /// Writes the JSON object.
  package func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("legacyPublicKey", text: legacyPublicKey)
      writer.field("publicKey", text: publicKey)
    }
  }
}
