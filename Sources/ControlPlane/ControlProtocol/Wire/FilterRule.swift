// SPDX-License-Identifier: Apache-2.0

package import Addressing
package import JSON

/// Who may reach what.
///
/// Texts are kept as they are: what cannot be read in them concerns that text only.
///
/// - Source: `Documentation/Protocols/packet-filter.md`.
package struct FilterRule: Hashable, Sendable, JSONReadable, JSONWritable {
  /// From where: `*`, an address, a prefix, a range, or `cap:` and a capability.
  package var srcIPs: [String] = []
  /// Obsolete: a rule that has them makes the whole filter unreadable.
  package var srcBits: [Int] = []
  /// To where.
  package var dstPorts: [NetPortRange] = []
  /// With which protocols; none for the usual.
  package var ipProto: [Int] = []
  /// Which capabilities the sources have at some of our addresses.
  package var capGrant: [CapGrant] = []

  /// One with these facts.
  package init(
    srcIPs: [String] = [],
    srcBits: [Int] = [],
    dstPorts: [NetPortRange] = [],
    ipProto: [Int] = [],
    capGrant: [CapGrant] = []
  ) {
    self.srcIPs = srcIPs
    self.srcBits = srcBits
    self.dstPorts = dstPorts
    self.ipProto = ipProto
    self.capGrant = capGrant
  }

  /// Reads the JSON object.
  package init(reading reader: inout JSONReader) throws(JSONError) {
    self.init()
    try reader.fields { (member, reader) throws(JSONError) in
      switch member {
      case "SrcIPs": srcIPs = try reader.list(of: String.self)
      case "SrcBits": srcBits = try reader.list(of: Int.self)
      case "DstPorts": dstPorts = try reader.list()
      case "IPProto": ipProto = try reader.list(of: Int.self)
      case "CapGrant": capGrant = try reader.list()
      default: try reader.skip()
      }
    }
  }

  /// Writes the JSON object.
  package func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("SrcIPs", srcIPs)
      writer.field("SrcBits", ifNonempty: srcBits)
      writer.field("DstPorts", ifNonempty: dstPorts)
      writer.field("IPProto", ifNonempty: ipProto)
      writer.field("CapGrant", ifNonempty: capGrant)
    }
  }
}

/// Addresses and ports on them.
package struct NetPortRange: Hashable, Sendable, JSONReadable, JSONWritable {
  /// `*`, an address, a prefix or a range.
  package var ip: String = ""
  /// Obsolete: a rule that has them makes the whole filter unreadable.
  package var bits: Int?
  /// The ports.
  package var ports: PortRange = PortRange()

  /// One with these facts.
  package init(
    ip: String = "",
    bits: Int? = nil,
    ports: PortRange = PortRange()
  ) {
    self.ip = ip
    self.bits = bits
    self.ports = ports
  }

  /// Reads the JSON object.
  package init(reading reader: inout JSONReader) throws(JSONError) {
    self.init()
    try reader.fields { (member, reader) throws(JSONError) in
      switch member {
      case "IP": ip = try reader.string()
      case "Bits": bits = try reader.int()
      case "Ports": ports = try reader.value()
      default: try reader.skip()
      }
    }
  }

  /// Writes the JSON object.
  package func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("IP", ip)
      writer.field("Bits", ifPresent: bits)
      writer.field("Ports", ports)
    }
  }
}

/// Ports from one to another.
package struct PortRange: Hashable, Sendable, JSONReadable, JSONWritable {
  /// The lowest.
  package var first: UInt16 = 0
  /// The highest.
  package var last: UInt16 = 0

  /// One with these facts.
  package init(
    first: UInt16 = 0,
    last: UInt16 = 0
  ) {
    self.first = first
    self.last = last
  }

  /// Reads the JSON object.
  package init(reading reader: inout JSONReader) throws(JSONError) {
    self.init()
    try reader.fields { (member, reader) throws(JSONError) in
      switch member {
      case "First": first = try reader.integer()
      case "Last": last = try reader.integer()
      default: try reader.skip()
      }
    }
  }

  /// Writes the JSON object.
  package func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("First", first)
      writer.field("Last", last)
    }
  }
}

/// Capabilities of peers at some of our addresses.
package struct CapGrant: Hashable, Sendable, JSONReadable, JSONWritable {
  /// Our addresses.
  package var dsts: [IPPrefix] = []
  /// Capabilities without values.
  package var caps: [String] = []
  /// Capabilities with values, each raw JSON.
  package var capMap: [String: [[UInt8]]] = [:]

  /// One with these facts.
  package init(
    dsts: [IPPrefix] = [],
    caps: [String] = [],
    capMap: [String: [[UInt8]]] = [:]
  ) {
    self.dsts = dsts
    self.caps = caps
    self.capMap = capMap
  }

  /// Reads the JSON object.
  package init(reading reader: inout JSONReader) throws(JSONError) {
    self.init()
    try reader.fields { (member, reader) throws(JSONError) in
      switch member {
      case "Dsts": dsts = try reader.prefixes()
      case "Caps": caps = try reader.list(of: String.self)
      case "CapMap": capMap = try reader.capabilityMap()
      default: try reader.skip()
      }
    }
  }

  /// Writes the JSON object.
  package func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("Dsts", texts: dsts)
      writer.field("Caps", ifNonempty: caps)
      writer.field("CapMap", capabilitiesIfNonempty: capMap)
    }
  }
}
