// SPDX-License-Identifier: Apache-2.0

package import Addressing
package import JSON
package import Keys
package import Timing

/// What changed about a peer, when it is little.
///
/// Nil is unchanged.
package struct PeerChange: Hashable, Sendable, JSONReadable, JSONWritable {
  /// The number of the peer.
  package var nodeID: Int64 = 0
  /// Its new home relay region; 0 for unchanged.
  package var derpRegion: Int = 0
  /// Its new version of the protocol; 0 for unchanged.
  package var cap: Int = 0
  /// All its capabilities.
  package var capMap: [String: [[UInt8]]]?
  /// All its endpoints.
  package var endpoints: [Endpoint]?
  /// Its key.
  package var key: NodeKey?
  /// The signature of its key.
  package var keySignature: [UInt8]?
  /// The key of its discovery messages.
  package var discoKey: DiscoKey?
  /// Whether it is connected.
  package var online: Bool?
  /// When it was last connected.
  package var lastSeen: Timestamp?
  /// When its key ends; the zero time for never.
  package var keyExpiry: Timestamp?

  /// One with these facts.
  package init(
    nodeID: Int64 = 0,
    derpRegion: Int = 0,
    cap: Int = 0,
    capMap: [String: [[UInt8]]]? = nil,
    endpoints: [Endpoint]? = nil,
    key: NodeKey? = nil,
    keySignature: [UInt8]? = nil,
    discoKey: DiscoKey? = nil,
    online: Bool? = nil,
    lastSeen: Timestamp? = nil,
    keyExpiry: Timestamp? = nil
  ) {
    self.nodeID = nodeID
    self.derpRegion = derpRegion
    self.cap = cap
    self.capMap = capMap
    self.endpoints = endpoints
    self.key = key
    self.keySignature = keySignature
    self.discoKey = discoKey
    self.online = online
    self.lastSeen = lastSeen
    self.keyExpiry = keyExpiry
  }

  /// Reads the JSON object.
  package init(reading reader: inout JSONReader) throws(JSONError) {
    self.init()
    try reader.fields { (member, reader) throws(JSONError) in
      switch member {
      case "NodeID": nodeID = try reader.int64()
      case "DERPRegion": derpRegion = try reader.int()
      case "Cap": cap = try reader.int()
      case "CapMap": capMap = try reader.capabilityMap()
      case "Endpoints": endpoints = try reader.endpoints()
      case "Key": key = try reader.key()
      case "KeySignature": keySignature = try reader.base64()
      case "DiscoKey": discoKey = try reader.key()
      case "Online": online = try reader.bool()
      case "LastSeen": lastSeen = try reader.exactTimestamp()
      case "KeyExpiry": keyExpiry = try reader.exactTimestamp()
      default: try reader.skip()
      }
    }
  }

  /// Writes the JSON object.
  package func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("NodeID", nodeID)
      writer.field("DERPRegion", ifNonzero: derpRegion)
      writer.field("Cap", ifNonzero: cap)
      writer.field("CapMap", capabilitiesIfPresent: capMap)
      writer.field("Endpoints", textsIfPresent: endpoints)
      writer.field("Key", textIfPresent: key)
      writer.field("KeySignature", base64IfPresent: keySignature)
      writer.field("DiscoKey", textIfPresent: discoKey)
      writer.field("Online", ifPresent: online)
      writer.field("LastSeen", textIfPresent: lastSeen)
      writer.field("KeyExpiry", textIfPresent: keyExpiry)
    }
  }
}
