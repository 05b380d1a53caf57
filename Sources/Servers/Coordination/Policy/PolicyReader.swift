// SPDX-License-Identifier: Apache-2.0

internal import Addressing
internal import ControlProtocol
internal import JSON

/// Reads the text of a policy, checking each part by itself.
struct PolicyReader {
  /// The text as plain JSON.
  let text: [UInt8]
  var document = PolicyDocument()

  static func read(_ text: [UInt8]) throws(PolicyFault) -> PolicyDocument {
    var reader = PolicyReader(text: try HuJSON.standardized(text))
    let root = try PolicySyntax(parsing: reader.text)
    try root.fields("the policy") { (name, value) throws(PolicyFault) in
      try reader.section(name, value)
    }
    return reader.document
  }

  private mutating func section(
    _ name: String,
    _ value: PolicySyntax
  ) throws(PolicyFault) -> Bool {
    switch name {
    case "acls":
      for entry in try accessEntries(value, "acls") { document.rules.append(try acl(entry)) }
    case "grants":
      for entry in try accessEntries(value, "grants") { document.rules.append(try grant(entry)) }
    case "groups": document.groups = try named(value, "groups", isName: Selector.isGroup)
    case "tagowners": document.tagOwners = try named(value, "tagOwners", isName: Selector.isTag)
    case "hosts": try hosts(value)
    case "ipsets": try sets(value)
    case "autoapprovers": try approvers(value)
    case "ssh":
      for entry in try value.array("ssh") { document.ssh.append(try sshRule(entry)) }
    case "nodeattrs":
      for entry in try value.array("nodeAttrs") {
        document.attributes.append(try attributes(entry))
      }
    case "postures": try postures(value)
    case "defaultsrcposture": document.defaultPostures = try value.strings("defaultSrcPosture")
    case "tests":
      for entry in try value.array("tests") { document.tests.append(try accessTest(entry)) }
    case "sshtests":
      for entry in try value.array("sshTests") { document.sshTests.append(try sshTest(entry)) }
    default: return try option(name, value)
    }
    return true
  }

  /// The options of the whole network, which come to attributes that every device has.
  private mutating func option(
    _ name: String,
    _ value: PolicySyntax
  ) throws(PolicyFault) -> Bool {
    switch name {
    case "randomizeclientport":
      if try value.bool("randomizeClientPort") {
        document.commonAttributes.append("randomize-client-port")
      }
    case "disableipv4":
      if try value.bool("disableIPv4") { document.commonAttributes.append("disable-ipv4") }
    case "onecgnatroute":
      switch try value.string("OneCGNATRoute") {
      case "": break
      case "mac-always": document.commonAttributes.append("one-cgnat?v=true")
      case "mac-never": document.commonAttributes.append("one-cgnat?v=false")
      default: throw value.fault("OneCGNATRoute must be \"mac-always\" or \"mac-never\"")
      }
    default: return false
    }
    return true
  }

  private mutating func accessEntries(
    _ value: PolicySyntax,
    _ what: String
  ) throws(PolicyFault) -> [PolicySyntax] {
    // An empty list lets nothing through and none lets everything: null must not mean either.
    guard !value.isNull else { throw value.fault("\(what) must be a list, not null") }
    document.hasRules = true
    return try value.array(what)
  }

  // MARK: Named things

  private func named(
    _ value: PolicySyntax,
    _ what: String,
    isName: (String) -> Bool
  ) throws(PolicyFault) -> [String: PolicyDocument.Named] {
    var result: [String: PolicyDocument.Named] = [:]
    for member in try value.members(what) {
      guard isName(member.name) else {
        throw PolicyFault(
          member.offset,
          "\"\(printable(member.name))\" is no name for an entry of \(what)"
        )
      }
      result[member.name] = PolicyDocument.Named(
        offset: member.offset,
        members: try member.value.selectors("\(what) of \(member.name)")
      )
    }
    return result
  }

  private mutating func hosts(_ value: PolicySyntax) throws(PolicyFault) {
    for member in try value.members("hosts") {
      guard Selector.isHostName(member.name), AddressRange(member.name) == nil else {
        throw PolicyFault(
          member.offset,
          "\"\(printable(member.name))\" is no name for a host"
        )
      }
      let text = try member.value.string("host \(member.name)")
      guard let range = AddressRange(text), !text.contains("-") else {
        throw member.value.fault(
          "host \"\(member.name)\": \"\(printable(text))\" is neither an address nor a prefix"
        )
      }
      document.hosts[member.name] = Located(range, at: member.offset)
    }
  }

  private mutating func sets(_ value: PolicySyntax) throws(PolicyFault) {
    for member in try value.members("ipsets") {
      guard Selector.isSet(member.name) else {
        throw PolicyFault(
          member.offset,
          "\"\(printable(member.name))\" is no name for an address set"
        )
      }
      var steps: [PolicyDocument.SetStep] = []
      for text in try member.value.strings(member.name) {
        let removes = text.value.hasPrefix("remove ")
        let bare = text.value.after("remove ") ?? text.value.after("add ") ?? Substring(text.value)
        let located = Located(String(bare), at: text.offset)
        let selector = try Selector.reading(located, in: member.name)
        switch selector {
        case .addresses, .host, .set, .autogroup(.internet): break
        default:
          throw PolicyFault(
            text.offset,
            "\"\(printable(bare))\" cannot be in an address set: use addresses, prefixes, hosts, "
              + "other sets or autogroup:internet"
          )
        }
        steps.append(
          PolicyDocument.SetStep(removes: removes, selector: Located(selector, at: text.offset))
        )
      }
      document.sets[member.name] = Located(steps, at: member.offset)
    }
  }

  private mutating func approvers(_ value: PolicySyntax) throws(PolicyFault) {
    guard !value.isNull else { return }
    try value.fields("autoApprovers") { (name, value) throws(PolicyFault) in
      switch name {
      case "exitnode":
        document.exitApprovers = try value.selectors("autoApprovers.exitNode")
      case "routes":
        for member in try value.members("autoApprovers.routes") {
          guard let prefix = IPPrefix(member.name) else {
            throw PolicyFault(
              member.offset,
              "\"\(printable(member.name))\" is no prefix of a route"
            )
          }
          let named = PolicyDocument.Named(
            offset: member.offset,
            members: try member.value.selectors("autoApprovers.routes")
          )
          guard document.routeApprovers.updateValue(named, forKey: prefix.masked) == nil else {
            throw PolicyFault(member.offset, "duplicate route \(prefix.masked) in autoApprovers")
          }
        }
      case "services":
        for member in try value.members("autoApprovers.services") {
          guard member.name.hasPrefix("svc:"), member.name.utf8.count > 4 else {
            throw PolicyFault(
              member.offset,
              "\"\(printable(member.name))\" is no name of a service"
            )
          }
          document.serviceApprovers[member.name] = PolicyDocument.Named(
            offset: member.offset,
            members: try member.value.selectors("autoApprovers.services")
          )
        }
      default: return false
      }
      return true
    }
  }

  private mutating func postures(_ value: PolicySyntax) throws(PolicyFault) {
    for member in try value.members("postures") {
      guard member.name.after("posture:").map({ !$0.isEmpty }) ?? false else {
        throw PolicyFault(
          member.offset,
          "\"\(printable(member.name))\" is no name of a posture"
        )
      }
      var conditions: [PostureCondition] = []
      for text in try member.value.strings(member.name) {
        guard let condition = PostureCondition(text.value) else {
          throw PolicyFault(
            text.offset,
            "\"\(printable(text.value))\" is no condition of a posture"
          )
        }
        conditions.append(condition)
      }
      document.postures[member.name] = Located(conditions, at: member.offset)
    }
  }
}
