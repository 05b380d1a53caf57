// SPDX-License-Identifier: Apache-2.0

internal import Addressing
internal import ControlProtocol
internal import JSON

// How entries of `acls`, `grants`, `nodeAttrs` and what they are made of are read.

extension PolicyReader {
  func acl(_ entry: PolicySyntax) throws(PolicyFault) -> PolicyDocument.Rule {
    var rule = PolicyDocument.Rule(offset: entry.offset, isGrant: false)
    var (action, proto): (String?, Int?)
    var targets: [Located<String>] = []
    try entry.fields("an entry of acls", ignoringMarked: true) {
      (name, value) throws(PolicyFault) in
      switch name {
      case "action":
        let text = try value.string("action")
        guard text.isEmpty || text == "accept" else {
          throw value.fault("action \"\(printable(text))\" is not valid: it must be \"accept\"")
        }
        action = text
      case "proto":
        let text = try value.string("proto")
        if !text.isEmpty { proto = try self.proto(text, at: value.offset) }
      case "src", "users": rule.sources += try value.selectors("src")
      case "dst", "ports": targets += try value.strings("dst")
      case "srcposture": rule.postures = try value.strings("srcPosture")
      default: return false
      }
      return true
    }
    guard action == "accept" else { throw entry.fault("action must be specified") }
    for text in targets {
      let (word, ports) = try Self.target(text)
      let selector = try Selector.reading(Located(word, at: text.offset), in: "dst")
      if let proto, !PolicyProtocol.hasPorts(proto), ports != PolicyPorts.all {
        throw PolicyFault(
          text.offset,
          "\"\(printable(text.value))\": protocol \(proto) has no ports: use \"*\""
        )
      }
      rule.targets.append(
        PolicyDocument.Target(
          selector: Located(selector, at: text.offset),
          flows: [PolicyDocument.Flow(proto: proto, ports: ports)]
        )
      )
    }
    return rule
  }

  /// `where:ports`, where an IPv6 address may stand in brackets.
  static func target(
    _ text: Located<String>
  ) throws(PolicyFault) -> (word: String, ports: [PortRange]) {
    guard let colon = text.value.lastIndex(of: ":") else {
      throw PolicyFault(
        text.offset,
        "\"\(printable(text.value))\" must be a destination, a colon and ports"
      )
    }
    var word = text.value[..<colon]
    let ports = text.value[text.value.index(after: colon)...]
    if word.first == "[", let close = word.lastIndex(of: "]") {
      word = word[word.index(after: word.startIndex)..<close] + word[word.index(after: close)...]
    }
    guard !word.isEmpty, !ports.isEmpty else {
      throw PolicyFault(
        text.offset,
        "\"\(printable(text.value))\" must be a destination, a colon and ports"
      )
    }
    do throws(PortFault) {
      return (String(word), try PolicyPorts.parse(ports))
    } catch {
      throw PolicyFault(text.offset, error.message)
    }
  }

  func proto(_ text: String, at offset: Int) throws(PolicyFault) -> Int {
    guard let number = PolicyProtocol.number(text) else {
      throw PolicyFault(offset, "unknown protocol \"\(printable(text))\"")
    }
    return number
  }

  func grant(_ entry: PolicySyntax) throws(PolicyFault) -> PolicyDocument.Rule {
    var rule = PolicyDocument.Rule(offset: entry.offset, isGrant: true)
    var flows: [PolicyDocument.Flow] = []
    var targets: [Located<Selector>] = []
    var hasApp = false
    try entry.fields("an entry of grants", ignoringMarked: true) {
      (name, value) throws(PolicyFault) in
      switch name {
      case "src": rule.sources = try value.selectors("src")
      case "dst": targets = try value.selectors("dst")
      case "ip":
        for text in try value.strings("ip") { flows.append(try flow(text)) }
      case "app":
        hasApp = !value.isNull
        rule.capabilities = try capabilities(value)
      case "via": rule.via = try value.selectors("via")
      case "srcposture": rule.postures = try value.strings("srcPosture")
      default: return false
      }
      return true
    }
    guard !flows.isEmpty || hasApp else {
      throw entry.fault("a grant must have at least one of \"ip\" and \"app\"")
    }
    rule.targets = targets.map { PolicyDocument.Target(selector: $0, flows: flows) }
    return rule
  }

  /// `*`, ports, or a protocol, a colon and ports.
  func flow(_ text: Located<String>) throws(PolicyFault) -> PolicyDocument.Flow {
    var (proto, ports): (Int?, Substring) = (nil, Substring(text.value))
    if let colon = text.value.firstIndex(of: ":") {
      let name = text.value[..<colon]
      ports = text.value[text.value.index(after: colon)...]
      if name != "*" { proto = try self.proto(String(name), at: text.offset) }
    } else if let number = PolicyProtocol.number(text.value), !text.value.utf8.allSatisfy(isDigit) {
      (proto, ports) = (number, "*")
    }
    do throws(PortFault) {
      let ranges = try PolicyPorts.parse(ports)
      if let proto, !PolicyProtocol.hasPorts(proto), ranges != PolicyPorts.all {
        throw PortFault("\"\(printable(text.value))\": protocol \(proto) has no ports: use \"*\"")
      }
      return PolicyDocument.Flow(proto: proto, ports: ranges)
    } catch {
      throw PolicyFault(text.offset, error.message)
    }
  }

  /// Names below `tailscale.com/` that a policy may grant; the others are the server's to give.
  private static let grantable: Set<String> = [
    "tailscale.com/cap/drive", "tailscale.com/cap/relay", "tailscale.com/cap/webui",
    "tailscale.com/cap/kubernetes", "tailscale.com/cap/tsidp", "tailscale.com/cap/secrets",
  ]

  func capabilities(_ value: PolicySyntax) throws(PolicyFault) -> PolicyDocument.Capabilities {
    var result: PolicyDocument.Capabilities = [:]
    for member in try value.members("app") {
      guard Self.isCapability(member.name) else {
        throw PolicyFault(member.offset, "capability name must have the form {domain}/{path}")
      }
      if member.name.hasPrefix("tailscale.com/"), !Self.grantable.contains(member.name) {
        throw PolicyFault(
          member.offset,
          "capability \"\(printable(member.name))\" cannot be granted by a policy"
        )
      }
      var values: [[UInt8]] = []
      for element in try member.value.array(member.name) {
        guard case .object = element.content else {
          throw element.fault("a value of \(printable(member.name)) must be an object")
        }
        values.append(try compact(element))
      }
      result[member.name] = values
    }
    return result
  }

  private static func isCapability(_ name: String) -> Bool {
    guard !name.contains("://"), let slash = name.firstIndex(of: "/") else { return false }
    let (domain, path) = (name[..<slash], name[name.index(after: slash)...])
    return !path.isEmpty && domain.contains(".") && domain.first != "." && domain.last != "."
      && name.unicodeScalars.allSatisfy { !$0.properties.isWhitespace && !isControl($0) }
      && domain.utf8.allSatisfy { isLetter($0) || isDigit($0) || [0x2D, 0x2E].contains($0) }
  }

  /// A value without blanks.
  private func compact(_ value: PolicySyntax) throws(PolicyFault) -> [UInt8] {
    do throws(JSONError) {
      return try JSONValue(parsing: Array(text[value.offset..<value.end])).json
    } catch {
      throw PolicyFault(value.offset + error.offset, error.sentence)
    }
  }

  func attributes(_ entry: PolicySyntax) throws(PolicyFault) -> PolicyDocument.Attributes {
    var result = PolicyDocument.Attributes(offset: entry.offset)
    try entry.fields("an entry of nodeAttrs", ignoringMarked: true) {
      (name, value) throws(PolicyFault) in
      switch name {
      case "target": result.targets = try value.selectors("target")
      case "attr":
        for text in try value.strings("attr") {
          guard !text.value.isEmpty, text.value.utf8.count <= 1024 else {
            throw PolicyFault(text.offset, "an attribute must not be empty")
          }
          result.names.append(text.value)
        }
      case "app": result.capabilities = try capabilities(value)
      case "ippool":
        for text in try value.strings("ipPool") {
          result.pools.append(Located(try Self.pool(text), at: text.offset))
        }
      default: return false
      }
      return true
    }
    return result
  }

  private static func pool(_ text: Located<String>) throws(PolicyFault) -> IPPrefix {
    guard let prefix = IPPrefix(text.value)?.masked else {
      throw PolicyFault(text.offset, "IPPool(\(printable(text.value))): not a network")
    }
    guard TailnetRanges.v4.contains(prefix) else {
      throw PolicyFault(text.offset, "IPPool(\(prefix)): network not in \(TailnetRanges.v4)")
    }
    let reserved =
      [TailnetRanges.chromeOSReserved]
      + [
        IPPrefix(IPAddress(100, 100, 0, 0), length: 24),
        IPPrefix(IPAddress(100, 100, 100, 0), length: 24),
      ]
      .compactMap { $0 }
    guard !reserved.contains(where: { $0.overlaps(prefix) }) else {
      throw PolicyFault(text.offset, "IPPool(\(prefix)): network within reserved range")
    }
    return prefix
  }
}
