// SPDX-License-Identifier: Apache-2.0

package import Addressing
package import JSON
package import Keys

/// What a node's peer relay is doing: the answer of `debug-peer-relay-sessions`.
package struct RelaySessions: Hashable, Sendable {
  /// One of the two who meet in a session.
  package struct Client: Hashable, Sendable {
    /// Where it is; nil until it proved it.
    package var endpoint: Endpoint?
    /// The beginning of its discovery key, as logs show it.
    package var shortKey: String
    /// How many of its packets were carried on.
    package var packets: UInt64
    /// How many of its bytes were carried on.
    package var bytes: UInt64

    /// A client.
    package init(endpoint: Endpoint?, key: DiscoKey, packets: UInt64, bytes: UInt64) {
      self.endpoint = endpoint
      shortKey = "d:" + Self.hex(key.bytes.prefix(8))
      (self.packets, self.bytes) = (packets, bytes)
    }

    private static func hex(_ bytes: ArraySlice<UInt8>) -> String {
      bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    var json: JSONValue {
      .object([
        "Endpoint": .string(endpoint?.description ?? ""), "ShortDisco": .string(shortKey),
        "PacketsTx": .integer(Int64(clamping: packets)),
        "BytesTx": .integer(Int64(clamping: bytes)),
      ])
    }
  }

  /// Two nodes that meet.
  package struct Session: Hashable, Sendable {
    /// The number of their virtual network.
    package var network: UInt32
    /// One of them.
    package var first: Client
    /// The other.
    package var second: Client

    /// A session.
    package init(network: UInt32, first: Client, second: Client) {
      (self.network, self.first, self.second) = (network, first, second)
    }
  }

  /// The port of the relay; nil when the node is none.
  package var port: UInt16?
  /// Who meets there.
  package var sessions: [Session] = []

  /// A node that is no relay.
  package init() {}

  /// As it is told to clients.
  package var json: JSONValue {
    .object([
      "UDPPort": port.map { .integer(Int64($0)) } ?? .null,
      "Sessions": .array(
        sessions.map {
          .object([
            "VNI": .integer(Int64($0.network)), "Client1": $0.first.json,
            "Client2": $0.second.json,
          ])
        }
      ),
    ])
  }
}
