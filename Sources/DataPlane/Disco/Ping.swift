// SPDX-License-Identifier: Apache-2.0

package import Addressing
import Bytes
package import Keys

/// Asks the other node to answer to where this came from.
///
/// | Bytes | Field |
/// |---|---|
/// | 12 | identifier |
/// | 32 | node key of the sender; only when 32 bytes are left |
/// | rest | zeros, up to the size that is being tried |
package struct Ping: Hashable, Sendable {
  /// Comes back in the pong.
  package var id: PingID
  /// Who asks: several nodes may share a disco key.
  package var nodeKey: NodeKey?
  /// How many zeros follow.
  package var padding: Int

  /// A ping.
  package init(id: PingID, nodeKey: NodeKey?, padding: Int = 0) {
    (self.id, self.nodeKey, self.padding) = (id, nodeKey, padding)
  }

  init(reading reader: inout ByteReader) throws(TruncatedError) {
    id = try PingID(reading: &reader)
    nodeKey = reader.remaining >= 32 ? NodeKey(bytes: try reader.take(32)) : nil
    padding = reader.takeRest().count
  }

  func write(to writer: inout ByteWriter) {
    id.write(to: &writer)
    if let nodeKey { writer.write(nodeKey.bytes) }
    writer.zeros(padding)
  }
}

/// Answers a ping, and tells where the ping came from.
///
/// | Bytes | Field |
/// |---|---|
/// | 12 | identifier of the ping |
/// | 18 | address and port that the ping was seen from |
package struct Pong: Hashable, Sendable {
  /// That of the ping.
  package var id: PingID
  /// The pinging node as the answering one sees it.
  package var source: Endpoint

  /// A pong.
  package init(id: PingID, source: Endpoint) {
    (self.id, self.source) = (id, source)
  }

  init(reading reader: inout ByteReader) throws(TruncatedError) {
    id = try PingID(reading: &reader)
    source = try Endpoint(reading: &reader)
  }

  func write(to writer: inout ByteWriter) {
    id.write(to: &writer)
    writer.write(source.discoveryBytes)
  }
}

/// Tells a peer, over a relay, where this node may be reached, so that both ping at once.
///
/// The body is any number of addresses with ports, 18 bytes each. A body of another length, or a
/// version other than 0, reads as none.
package struct CallMeMaybe: Hashable, Sendable {
  /// Where the sender believes it can be reached.
  package var endpoints: [Endpoint]

  /// A call that lists `endpoints`.
  package init(endpoints: [Endpoint]) { self.endpoints = endpoints }

  init(reading reader: inout ByteReader, version: UInt8) throws(TruncatedError) {
    endpoints = []
    guard version == 0, reader.remaining.isMultiple(of: 18) else { return }
    while !reader.isAtEnd { endpoints.append(try Endpoint(reading: &reader)) }
  }

  func write(to writer: inout ByteWriter) {
    for endpoint in endpoints { writer.write(endpoint.discoveryBytes) }
  }
}
