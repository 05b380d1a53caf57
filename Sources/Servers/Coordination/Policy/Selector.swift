// SPDX-License-Identifier: Apache-2.0

internal import Addressing

/// A set of users, devices or addresses that the language has a name for.
enum Autogroup: String, Hashable, Sendable, CaseIterable {
  /// Devices of users.
  case member
  /// Devices with tags.
  case tagged
  /// Devices of the user who asks.
  case own = "self"
  /// Everything outside, through an exit node.
  case internet
  /// Any login but root.
  case nonroot
  /// Every address there is, of the network or not.
  case dangerAll = "danger-all"
  /// Devices that others share with us.
  case shared
  case owner
  case admin
  case networkAdmin = "network-admin"
  case itAdmin = "it-admin"
  case billingAdmin = "billing-admin"
  case auditor

  init?(name: Substring) {
    self.init(rawValue: name == "members" ? "member" : String(name))
  }

  /// The role that its users have; nil for what is no role.
  var role: PolicyWorld.Role? {
    switch self {
    case .owner: .owner
    case .admin: .admin
    case .networkAdmin: .networkAdmin
    case .itAdmin: .itAdmin
    case .billingAdmin: .billingAdmin
    case .auditor: .auditor
    default: nil
    }
  }

  /// Whether it means devices of users.
  var isOfUsers: Bool { self == .member || role != nil }
}

/// A word of the language that means users, devices or addresses.
enum Selector: Hashable, Sendable {
  case everything
  /// `name@domain` or `name@`.
  case user(String)
  /// `user:*@domain`.
  case usersOf(domain: String)
  case group(String)
  case tag(String)
  case host(String)
  case set(String)
  case service(String)
  case addresses(AddressRange)
  case autogroup(Autogroup)
  /// `autogroup:` and a word that names none.
  case unknownAutogroup(String)

  /// What `text` means; nil for the empty text and for what cannot be a name.
  init?(_ text: String) {
    if text == "*" {
      self = .everything
    } else if let name = text.after("autogroup:") {
      self = Autogroup(name: name).map(Selector.autogroup) ?? .unknownAutogroup(text)
    } else if text.after("group:") != nil {
      self = .group(text)
    } else if text.after("tag:") != nil {
      self = .tag(text)
    } else if text.after("ipset:") != nil {
      self = .set(text)
    } else if text.after("svc:") != nil {
      self = .service(text)
    } else if let domain = text.after("user:*@") {
      guard !domain.isEmpty else { return nil }
      self = .usersOf(domain: domain.lowercased())
    } else if text.utf8.contains(UInt8(ascii: "@")) {
      guard text.utf8.first != UInt8(ascii: "@") else { return nil }
      self = .user(text.lowercased())
    } else if let range = AddressRange(text) {
      self = .addresses(range)
    } else {
      let name = text.after("host:").map(String.init) ?? text
      guard Self.isHostName(name) else { return nil }
      self = .host(name)
    }
  }

  /// Whether `name` can be the name of a host or an address set: no blanks, colons or brackets.
  static func isHostName(_ name: String) -> Bool {
    !name.isEmpty && name.utf8.count <= 253
      && name.unicodeScalars.allSatisfy { scalar in
        !scalar.properties.isWhitespace && !isControl(scalar)
          && !":*@/[]\"'\\,".unicodeScalars.contains(scalar)
      }
  }

  /// Whether `tag` is spelled as tags are: `tag:`, a letter, then letters, digits and hyphens.
  static func isTag(_ tag: String) -> Bool { isName(tag.after("tag:")) }

  /// Whether `group` is spelled as groups are.
  static func isGroup(_ group: String) -> Bool {
    guard let name = group.after("group:"), !name.isEmpty else { return false }
    return name.unicodeScalars.allSatisfy { !$0.properties.isWhitespace && !isControl($0) }
  }

  /// Whether `text` is the name of an address set.
  static func isSet(_ text: String) -> Bool {
    text.after("ipset:").map { isHostName(String($0)) } ?? false
  }

  private static func isName(_ name: Substring?) -> Bool {
    guard let name, let first = name.utf8.first, isLetter(first) else { return false }
    return name.utf8.allSatisfy { isLetter($0) || isDigit($0) || $0 == UInt8(ascii: "-") }
  }
}

extension String {
  /// What follows `prefix`; nil where it does not begin so.
  func after(_ prefix: String) -> Substring? {
    hasPrefix(prefix) ? self[index(startIndex, offsetBy: prefix.count)...] : nil
  }
}
