// SPDX-License-Identifier: Apache-2.0

package import Addressing
package import JSON

/// How names are resolved.
package struct DNSConfig: Hashable, Sendable, JSONReadable, JSONWritable {
  /// The resolvers for all names.
  package var resolvers: [Resolver] = []
  /// The resolvers for names below a suffix; none of them: the node answers itself.
  package var routes: [String: [Resolver]] = [:]
  /// The resolvers when there are no others.
  package var fallbackResolvers: [Resolver] = []
  /// Suffixes to try.
  package var domains: [String] = []
  /// Whether nodes answer for names of the network.
  package var proxied: Bool = false
  /// The older form of `resolvers`.
  package var nameservers: [IPAddress] = []
  /// Names for which the node may get certificates.
  package var certDomains: [String] = []
  /// More names.
  package var extraRecords: [DNSRecord] = []
  /// Names that an exit node does not resolve; a leading dot means all below.
  package var exitNodeFilteredSet: [String] = []
  /// Carried as it is.
  package var tempCorpIssue13969: String = ""

  /// One with these facts.
  package init(
    resolvers: [Resolver] = [],
    routes: [String: [Resolver]] = [:],
    fallbackResolvers: [Resolver] = [],
    domains: [String] = [],
    proxied: Bool = false,
    nameservers: [IPAddress] = [],
    certDomains: [String] = [],
    extraRecords: [DNSRecord] = [],
    exitNodeFilteredSet: [String] = [],
    tempCorpIssue13969: String = ""
  ) {
    self.resolvers = resolvers
    self.routes = routes
    self.fallbackResolvers = fallbackResolvers
    self.domains = domains
    self.proxied = proxied
    self.nameservers = nameservers
    self.certDomains = certDomains
    self.extraRecords = extraRecords
    self.exitNodeFilteredSet = exitNodeFilteredSet
    self.tempCorpIssue13969 = tempCorpIssue13969
  }

  /// Reads the JSON object.
  package init(reading reader: inout JSONReader) throws(JSONError) {
    self.init()
    try reader.fields { (member, reader) throws(JSONError) in
      switch member {
      case "Resolvers": resolvers = try reader.list()
      case "Routes": routes = try reader.resolverRoutes()
      case "FallbackResolvers": fallbackResolvers = try reader.list()
      case "Domains": domains = try reader.list(of: String.self)
      case "Proxied": proxied = try reader.bool()
      case "Nameservers": nameservers = try reader.addresses()
      case "CertDomains": certDomains = try reader.list(of: String.self)
      case "ExtraRecords": extraRecords = try reader.list()
      case "ExitNodeFilteredSet": exitNodeFilteredSet = try reader.list(of: String.self)
      case "TempCorpIssue13969": tempCorpIssue13969 = try reader.string()
      default: try reader.skip()
      }
    }
  }

  /// Writes the JSON object.
  package func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("Resolvers", ifNonempty: resolvers)
      writer.field("Routes", ifNonempty: routes)
      writer.field("FallbackResolvers", ifNonempty: fallbackResolvers)
      writer.field("Domains", ifNonempty: domains)
      writer.field("Proxied", ifTrue: proxied)
      writer.field("Nameservers", textsIfNonempty: nameservers)
      writer.field("CertDomains", ifNonempty: certDomains)
      writer.field("ExtraRecords", ifNonempty: extraRecords)
      writer.field("ExitNodeFilteredSet", ifNonempty: exitNodeFilteredSet)
      writer.field("TempCorpIssue13969", ifNonempty: tempCorpIssue13969)
    }
  }
}

/// Where a name is resolved.
package struct Resolver: Hashable, Sendable, JSONReadable, JSONWritable {
  /// An address, an address with port, or the URL of a resolver over HTTP.
  package var addr: String = ""
  /// Addresses of the host in the URL.
  package var bootstrapResolution: [IPAddress] = []
  /// Whether it is asked although an exit node is used.
  package var useWithExitNode: Bool = false

  /// One with these facts.
  package init(
    addr: String = "",
    bootstrapResolution: [IPAddress] = [],
    useWithExitNode: Bool = false
  ) {
    self.addr = addr
    self.bootstrapResolution = bootstrapResolution
    self.useWithExitNode = useWithExitNode
  }

  /// Reads the JSON object.
  package init(reading reader: inout JSONReader) throws(JSONError) {
    self.init()
    try reader.fields { (member, reader) throws(JSONError) in
      switch member {
      case "Addr": addr = try reader.string()
      case "BootstrapResolution": bootstrapResolution = try reader.addresses()
      case "UseWithExitNode": useWithExitNode = try reader.bool()
      default: try reader.skip()
      }
    }
  }

  /// Writes the JSON object.
  package func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("Addr", ifNonempty: addr)
      writer.field("BootstrapResolution", textsIfNonempty: bootstrapResolution)
      writer.field("UseWithExitNode", ifTrue: useWithExitNode)
    }
  }
}

/// A name and what it stands for.
package struct DNSRecord: Hashable, Sendable, JSONReadable, JSONWritable {
  /// The name.
  package var name: String = ""
  /// `A`, `AAAA`, or empty to tell by the value.
  package var type: String = ""
  /// The address.
  package var value: String = ""

  /// One with these facts.
  package init(
    name: String = "",
    type: String = "",
    value: String = ""
  ) {
    self.name = name
    self.type = type
    self.value = value
  }

  /// Reads the JSON object.
  package init(reading reader: inout JSONReader) throws(JSONError) {
    self.init()
    try reader.fields { (member, reader) throws(JSONError) in
      switch member {
      case "Name": name = try reader.string()
      case "Type": type = try reader.string()
      case "Value": value = try reader.string()
      default: try reader.skip()
      }
    }
  }

  /// Writes the JSON object.
  package func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("Name", name)
      writer.field("Type", ifNonempty: type)
      writer.field("Value", value)
    }
  }
}
