// SPDX-License-Identifier: Apache-2.0

package import Addressing
package import JSON
package import Keys
package import Timing

/// Asks for the map of the network, or tells news of this node.
///
/// - Source: `Documentation/Protocols/control.md`, the map request.
package struct MapRequest: Hashable, Sendable, JSONReadable, JSONWritable {
  /// The version of the protocol.
  package var version: Int = 0
  /// `zstd`, or empty for plain JSON.
  package var compress: String = ""
  /// Whether the server shall give signs of life.
  package var keepAlive: Bool = false
  /// The node that asks.
  package var nodeKey: NodeKey = .zero
  /// The key of its discovery messages.
  package var discoKey: DiscoKey = .zero
  /// Whether to go on telling what changes.
  package var stream: Bool = false
  /// What the node tells of itself.
  package var hostinfo: Hostinfo?
  /// A stream to resume.
  package var mapSessionHandle: String = ""
  /// The last message of it that was seen.
  package var mapSessionSeq: Int64 = 0
  /// Where the node may be reached.
  package var endpoints: [Endpoint] = []
  /// What kind of endpoint each is, in the same order.
  package var endpointTypes: [Int] = []
  /// The head of the tailnet lock's chain.
  package var tkaHead: String = ""
  /// Obsolete.
  package var readOnly: Bool = false
  /// Whether the answer is of no interest.
  package var omitPeers: Bool = false
  /// What the node wants known about how it runs.
  package var debugFlags: [String] = []
  /// A key held by hardware.
  package var hardwareAttestationKey: String = ""
  /// Its signature of the node key and a time.
  package var hardwareAttestationKeySignature: [UInt8] = []
  /// That time.
  package var hardwareAttestationKeySignatureTimestamp: Timestamp?
  /// Echoed in tests.
  package var connectionHandleForTest: String = ""

  /// One with these facts.
  package init(
    version: Int = 0,
    compress: String = "",
    keepAlive: Bool = false,
    nodeKey: NodeKey = .zero,
    discoKey: DiscoKey = .zero,
    stream: Bool = false,
    hostinfo: Hostinfo? = nil,
    mapSessionHandle: String = "",
    mapSessionSeq: Int64 = 0,
    endpoints: [Endpoint] = [],
    endpointTypes: [Int] = [],
    tkaHead: String = "",
    readOnly: Bool = false,
    omitPeers: Bool = false,
    debugFlags: [String] = [],
    hardwareAttestationKey: String = "",
    hardwareAttestationKeySignature: [UInt8] = [],
    hardwareAttestationKeySignatureTimestamp: Timestamp? = nil,
    connectionHandleForTest: String = ""
  ) {
    self.version = version
    self.compress = compress
    self.keepAlive = keepAlive
    self.nodeKey = nodeKey
    self.discoKey = discoKey
    self.stream = stream
    self.hostinfo = hostinfo
    self.mapSessionHandle = mapSessionHandle
    self.mapSessionSeq = mapSessionSeq
    self.endpoints = endpoints
    self.endpointTypes = endpointTypes
    self.tkaHead = tkaHead
    self.readOnly = readOnly
    self.omitPeers = omitPeers
    self.debugFlags = debugFlags
    self.hardwareAttestationKey = hardwareAttestationKey
    self.hardwareAttestationKeySignature = hardwareAttestationKeySignature
    self.hardwareAttestationKeySignatureTimestamp = hardwareAttestationKeySignatureTimestamp
    self.connectionHandleForTest = connectionHandleForTest
  }

  /// Reads the JSON object.
  package init(reading reader: inout JSONReader) throws(JSONError) {
    self.init()
    try reader.fields { (member, reader) throws(JSONError) in
      switch member {
      case "Version": version = try reader.int()
      case "Compress": compress = try reader.string()
      case "KeepAlive": keepAlive = try reader.bool()
      case "NodeKey": nodeKey = try reader.key()
      case "DiscoKey": discoKey = try reader.key()
      case "Stream": stream = try reader.bool()
      case "Hostinfo": hostinfo = try reader.value()
      case "MapSessionHandle": mapSessionHandle = try reader.string()
      case "MapSessionSeq": mapSessionSeq = try reader.int64()
      case "Endpoints": endpoints = try reader.endpoints()
      case "EndpointTypes": endpointTypes = try reader.list(of: Int.self)
      case "TKAHead": tkaHead = try reader.string()
      case "ReadOnly": readOnly = try reader.bool()
      case "OmitPeers": omitPeers = try reader.bool()
      case "DebugFlags": debugFlags = try reader.list(of: String.self)
      case "HardwareAttestationKey": hardwareAttestationKey = try reader.string()
      case "HardwareAttestationKeySignature": hardwareAttestationKeySignature = try reader.base64()
      case "HardwareAttestationKeySignatureTimestamp":
        hardwareAttestationKeySignatureTimestamp = try reader.timestamp()
      case "ConnectionHandleForTest": connectionHandleForTest = try reader.string()
      default: try reader.skip()
      }
    }
  }

  /// Writes the JSON object.
  package func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("Version", version)
      writer.field("Compress", ifNonempty: compress)
      writer.field("KeepAlive", ifTrue: keepAlive)
      writer.field("NodeKey", text: nodeKey)
      writer.field("DiscoKey", text: discoKey)
      writer.field("Stream", ifTrue: stream)
      writer.field("Hostinfo", ifPresent: hostinfo)
      writer.field("MapSessionHandle", ifNonempty: mapSessionHandle)
      writer.field("MapSessionSeq", ifNonzero: mapSessionSeq)
      writer.field("Endpoints", textsIfNonempty: endpoints)
      writer.field("EndpointTypes", ifNonempty: endpointTypes)
      writer.field("TKAHead", ifNonempty: tkaHead)
      writer.field("ReadOnly", ifTrue: readOnly)
      writer.field("OmitPeers", ifTrue: omitPeers)
      writer.field("DebugFlags", ifNonempty: debugFlags)
      writer.field("HardwareAttestationKey", ifNonempty: hardwareAttestationKey)
      writer.field(
        "HardwareAttestationKeySignature",
        base64IfNonempty: hardwareAttestationKeySignature
      )
      writer.field(
        "HardwareAttestationKeySignatureTimestamp",
        textIfPresent: hardwareAttestationKeySignatureTimestamp
      )
      writer.field("ConnectionHandleForTest", ifNonempty: connectionHandleForTest)
    }
  }
}
