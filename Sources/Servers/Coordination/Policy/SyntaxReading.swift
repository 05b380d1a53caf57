// SPDX-License-Identifier: Apache-2.0

// How the reader asks for the values it expects.

extension PolicySyntax {
  func fault(_ message: String) -> PolicyFault { PolicyFault(offset, message) }

  var isNull: Bool { content == .null }

  func string(_ what: String) throws(PolicyFault) -> String {
    guard case .string(let text) = content else {
      throw fault("\(what) must be a text, not \(kind)")
    }
    return text
  }

  func bool(_ what: String) throws(PolicyFault) -> Bool {
    guard case .bool(let value) = content else {
      throw fault("\(what) must be true or false, not \(kind)")
    }
    return value
  }

  /// The elements; none for null.
  func array(_ what: String) throws(PolicyFault) -> [PolicySyntax] {
    if isNull { return [] }
    guard case .array(let elements) = content else {
      throw fault("\(what) must be a list, not \(kind)")
    }
    return elements
  }

  func strings(_ what: String) throws(PolicyFault) -> [Located<String>] {
    var texts: [Located<String>] = []
    for element in try array(what) {
      texts.append(Located(try element.string("an item of \(what)"), at: element.offset))
    }
    return texts
  }

  func selectors(_ what: String) throws(PolicyFault) -> [Located<Selector>] {
    try strings(what).map { text throws(PolicyFault) in
      Located(try Selector.reading(text, in: what), at: text.offset)
    }
  }

  /// The members, whose names must differ; none for null.
  func members(_ what: String) throws(PolicyFault) -> [Member] {
    if isNull { return [] }
    guard case .object(let members) = content else {
      throw fault("\(what) must be an object, not \(kind)")
    }
    var seen: Set<String> = []
    for member in members where !seen.insert(member.name).inserted {
      throw PolicyFault(member.offset, "duplicate name \"\(printable(member.name))\" in \(what)")
    }
    return members
  }

  /// Goes over the fields of a record, whose names count without case.
  ///
  /// - Parameters:
  ///   - what: What the record is, for messages.
  ///   - ignoringMarked: Whether fields that begin with `#` are passed over.
  ///   - body: Says whether it knows a field of that name, in lower case.
  /// - Throws: `PolicyFault` when a field is unknown, or there twice.
  func fields(
    _ what: String,
    ignoringMarked: Bool = false,
    _ body: (String, PolicySyntax) throws(PolicyFault) -> Bool
  ) throws(PolicyFault) {
    guard case .object(let members) = content else {
      throw fault("\(what) must be an object, not \(kind)")
    }
    var seen: Set<String> = []
    for member in members {
      if ignoringMarked, member.name.hasPrefix("#") { continue }
      let name = member.name.lowercased()
      guard seen.insert(name).inserted else {
        throw PolicyFault(member.offset, "duplicate field \"\(printable(member.name))\" in \(what)")
      }
      guard try body(name, member.value) else {
        throw PolicyFault(member.offset, "unknown field \"\(printable(member.name))\" in \(what)")
      }
    }
  }
}

extension Selector {
  static func reading(_ text: Located<String>, in what: String) throws(PolicyFault) -> Selector {
    guard let selector = Selector(text.value) else {
      throw PolicyFault(
        text.offset,
        "\"\(printable(text.value))\" in \(what) is no user, group, tag, host, address or autogroup"
      )
    }
    if case .unknownAutogroup(let name) = selector {
      throw PolicyFault(text.offset, "unknown autogroup \"\(printable(name))\" in \(what)")
    }
    return selector
  }
}
