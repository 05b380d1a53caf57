// SPDX-License-Identifier: Apache-2.0

import Bytes
import Compression
import JSON

/// One message of a map stream.
///
///     length (4, little-endian) · JSON, or one zstd frame of it
///
/// - Source: `Documentation/Protocols/control.md`, the map stream.
package enum MapFrame {
  /// How many bytes of JSON a message may have.
  package static let maximumBytes = 64 << 20

  /// The message that carries `response`.
  package static func encode(_ response: MapResponse, compressed: Bool) -> [UInt8] {
    encode(response.json, compressed: compressed)
  }

  /// The message that carries JSON.
  package static func encode(_ json: [UInt8], compressed: Bool) -> [UInt8] {
    let body = compressed ? Zstandard.compress(json) : json
    var writer = ByteWriter(capacity: 4 + body.count)
    writer.littleEndian(UInt32(body.count))
    writer.write(body)
    return writer.bytes
  }

  /// The JSON of a sign of life.
  package static let keepAliveJSON = Array(#"{"KeepAlive":true}"#.utf8)
}
