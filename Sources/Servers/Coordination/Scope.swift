// SPDX-License-Identifier: Apache-2.0

/// A part of the network's administration that a credential may see, or see and change.
package struct Scope: Hashable, Sendable, CustomStringConvertible {
  /// A part of the administration; `all` is every part.
  package enum Area: String, Hashable, Sendable, CaseIterable {
    /// Every part.
    case all
    /// Keys that let machines join.
    case authKeys = "auth_keys"
    /// Credentials of the API itself.
    case oauthKeys = "oauth_keys"
    /// Nodes: their names, tags, keys, whether they are let in.
    case devices = "devices:core"
    /// The routes of nodes.
    case routes = "devices:routes"
    /// The attributes of nodes that postures ask for.
    case postures = "devices:posture_attributes"
    /// The policy.
    case policy = "policy_file"
    /// What holds for the whole network.
    case settings = "feature_settings"
    /// How names are resolved.
    case dns
    /// Users.
    case users
    /// Who is told of what happens.
    case webhooks
    /// Who did what.
    case audit = "logs:configuration"
  }

  /// The part.
  package let area: Area
  /// Whether nothing may be changed.
  package let isReadOnly: Bool

  /// A part, to be seen and changed or seen only.
  package init(_ area: Area, isReadOnly: Bool = false) {
    (self.area, self.isReadOnly) = (area, isReadOnly)
  }

  /// The scope that `text` spells: an area, or one with `:read` behind it.
  package init?(_ text: some StringProtocol) {
    let suffix = ":read"
    let isReadOnly = text.hasSuffix(suffix)
    let name = isReadOnly ? String(text.dropLast(suffix.count)) : String(text)
    guard let area = Area(rawValue: name) else {
      // As the hosted service abbreviates it.
      guard name == "devices" else { return nil }
      self.init(.devices, isReadOnly: isReadOnly)
      return
    }
    self.init(area, isReadOnly: isReadOnly)
  }

  /// As `init(_:)` reads it.
  package var description: String { area.rawValue + (isReadOnly ? ":read" : "") }

  /// Whether who has this scope has `other` too.
  package func covers(_ other: Scope) -> Bool {
    (area == .all || area == other.area) && (!isReadOnly || other.isReadOnly)
  }

  /// What both let do; nil when nothing.
  func common(with other: Scope) -> Scope? {
    guard area == .all || other.area == .all || area == other.area else { return nil }
    return Scope(
      area == .all ? other.area : area,
      isReadOnly: isReadOnly || other.isReadOnly
    )
  }

  /// The scopes that texts spell, or why they spell none.
  package static func valid(_ texts: [String]) throws(Refusal) -> [Scope] {
    var scopes: Set<Scope> = []
    for text in texts {
      guard let scope = Scope(text) else {
        throw .invalid("There is no scope '\(NodeName.printable(text))'.")
      }
      scopes.insert(scope)
    }
    return scopes.sorted { $0.description < $1.description }
  }
}

extension Sequence<Scope> {
  /// Whether one of them covers a scope.
  package func cover(_ scope: Scope) -> Bool { contains { $0.covers(scope) } }
}

extension PolicyWorld.Role {
  /// What a person with this role may do to the network.
  ///
  /// - Source: the roles of the hosted service, as `Documentation/Guides/Using.md` lists them.
  package var scopes: [Scope] {
    let look = Scope(.all, isReadOnly: true)
    return switch self {
    case .owner, .admin: [Scope(.all)]
    case .networkAdmin: [look, Scope(.policy), Scope(.routes), Scope(.dns), Scope(.settings)]
    case .itAdmin:
      [
        look, Scope(.devices), Scope(.postures), Scope(.authKeys), Scope(.users), Scope(.settings),
      ]
    case .auditor: [look]
    case .billingAdmin, .member: []
    }
  }
}
