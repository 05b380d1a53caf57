// SPDX-License-Identifier: Apache-2.0

// How entries of `ssh`, `tests` and `sshTests` are read.

extension PolicyReader {
  /// The longest that a check of an SSH session may last.
  private static let longestCheck: Int64 = 168 * 3_600_000_000_000

  func sshRule(_ entry: PolicySyntax) throws(PolicyFault) -> PolicyDocument.SSHRule {
    var rule = PolicyDocument.SSHRule(offset: entry.offset)
    var action = ""
    var period: Located<PolicyDocument.CheckPeriod>?
    try entry.fields("an entry of ssh", ignoringMarked: true) {
      (name, value) throws(PolicyFault) in
      switch name {
      case "action":
        action = try value.string("action")
        guard ["", "accept", "check"].contains(action) else {
          throw value.fault("action \"\(printable(action))\" is not valid")
        }
      case "src": rule.sources = try value.selectors("src")
      case "dst": rule.destinations = try value.selectors("dst")
      case "users": rule.users = try users(value)
      case "checkperiod": period = try checkPeriod(value).map { Located($0, at: value.offset) }
      case "acceptenv":
        for text in try value.strings("acceptEnv") {
          guard !text.value.isEmpty else {
            throw PolicyFault(text.offset, "acceptEnv values cannot be empty")
          }
          rule.acceptEnvironment.append(text.value)
        }
      case "recorder": rule.recorders = try value.selectors("recorder")
      case "enforcerecorder": rule.enforcesRecorder = try value.bool("enforceRecorder")
      case "srcposture": rule.postures = try value.strings("srcPosture")
      default: return false
      }
      return true
    }
    guard !action.isEmpty else { throw entry.fault("action must be specified") }
    rule.isCheck = action == "check"
    if let period {
      guard rule.isCheck else {
        throw PolicyFault(period.offset, "checkPeriod is only valid with action \"check\"")
      }
      rule.checkPeriod = period.value
    }
    guard !rule.users.isEmpty else { throw entry.fault("users must be specified") }
    return rule
  }

  private func users(_ value: PolicySyntax) throws(PolicyFault) -> [String] {
    var users: [String] = []
    for text in try value.strings("users") {
      let user = text.value
      let isKnown = user.after("autogroup:").map { $0 == "nonroot" } ?? true
      guard isKnown, !user.isEmpty, user != "*", !user.unicodeScalars.contains(where: isControl)
      else { throw PolicyFault(text.offset, "user \"\(printable(user))\" is not valid") }
      users.append(user)
    }
    return users
  }

  private func checkPeriod(
    _ value: PolicySyntax
  ) throws(PolicyFault) -> PolicyDocument.CheckPeriod? {
    let text = try value.string("checkPeriod")
    if text.isEmpty { return nil }
    if text == "always" { return .always }
    guard let period = PolicyDuration.nanoseconds(text) else {
      throw value.fault("checkPeriod \"\(printable(text))\" is not a duration")
    }
    guard period > 0 else {
      throw value.fault("checkPeriod \(PolicyDuration.text(period)) must be a positive duration")
    }
    guard period <= Self.longestCheck else {
      throw value.fault(
        "checkPeriod \(PolicyDuration.text(period)) must be at most "
          + PolicyDuration.text(Self.longestCheck)
      )
    }
    return .lasting(.nanoseconds(period))
  }

  func accessTest(_ entry: PolicySyntax) throws(PolicyFault) -> PolicyDocument.AccessTest {
    var test = PolicyDocument.AccessTest(offset: entry.offset)
    var hasSource = false
    try entry.fields("an entry of tests", ignoringMarked: true) {
      (name, value) throws(PolicyFault) in
      switch name {
      case "src", "user":
        test.source = Located(try value.string("src"), at: value.offset)
        hasSource = !test.source.value.isEmpty
      case "proto":
        let text = try value.string("proto")
        test.proto = PolicyProtocol.number(text)
        test.protoIsUnknown = test.proto == nil && !text.isEmpty
      case "accept", "allow": test.accept += try value.strings("accept")
      case "deny": test.deny = try value.strings("deny")
      case "srcpostureattrs":
        for member in try value.members("srcPostureAttrs") {
          switch member.value.content {
          case .string(let text): test.attributes[member.name] = .text(text)
          case .bool(let flag): test.attributes[member.name] = .flag(flag)
          case .number:
            let digits = String(
              decoding: self.text[member.value.offset..<member.value.end],
              as: UTF8.self
            )
            guard let number = Double(digits) else { throw member.value.fault("not a number") }
            test.attributes[member.name] = .number(number)
          default:
            throw member.value.fault("an attribute must be a text, a number, true or false")
          }
        }
      default: return false
      }
      return true
    }
    guard hasSource else { throw entry.fault("a test must have a \"src\"") }
    guard !test.accept.isEmpty || !test.deny.isEmpty else {
      throw entry.fault("a test must have an \"accept\" or a \"deny\"")
    }
    return test
  }

  func sshTest(_ entry: PolicySyntax) throws(PolicyFault) -> PolicyDocument.SSHTest {
    var test = PolicyDocument.SSHTest(offset: entry.offset)
    try entry.fields("an entry of sshTests", ignoringMarked: true) {
      (name, value) throws(PolicyFault) in
      switch name {
      case "src": test.source = Located(try value.string("src"), at: value.offset)
      case "dst": test.destinations = try value.strings("dst")
      case "accept": test.accept = try value.strings("accept").map(\.value)
      case "deny": test.deny = try value.strings("deny").map(\.value)
      case "check": test.check = try value.strings("check").map(\.value)
      default: return false
      }
      return true
    }
    guard !test.source.value.isEmpty else { throw entry.fault("an SSH test must have a \"src\"") }
    guard !test.destinations.isEmpty else { throw entry.fault("an SSH test must have a \"dst\"") }
    return test
  }
}
