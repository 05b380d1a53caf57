// SPDX-License-Identifier: Apache-2.0

package import Addressing

/// The users and devices that a policy speaks of.
package struct PolicyWorld: Hashable, Sendable {
  /// What a user may do to the network, which some words of the language mean.
  package enum Role: String, Hashable, Sendable, CaseIterable {
    /// Owns the network.
    case owner
    /// May do everything but give the network away.
    case admin
    /// May change the policy and the network.
    case networkAdmin = "network-admin"
    /// May manage users and devices.
    case itAdmin = "it-admin"
    /// May manage the bills.
    case billingAdmin = "billing-admin"
    /// May look.
    case auditor
    /// May use the network.
    case member
  }

  /// A user.
  package struct Person: Hashable, Sendable {
    /// Its number.
    package var id: UserID
    /// The name it logs in with.
    package var name: String
    /// Its mail address; empty when unknown.
    package var email: String
    /// What it may do.
    package var role: Role
    /// Groups that its identity provider says it is in, by their bare names.
    package var groups: [String]

    /// A user with all its facts.
    package init(
      id: UserID,
      name: String,
      email: String = "",
      role: Role = .member,
      groups: [String] = []
    ) {
      self.id = id
      self.name = name
      self.email = email
      self.role = role
      self.groups = groups
    }

    /// What stands before the `@` of its mail address; its name where it has none.
    var localPart: String {
      (email.isEmpty ? name : email).split(separator: "@").first.map(String.init) ?? name
    }

    /// What stands behind the `@` of its mail address, in lower case.
    var domain: String? {
      let parts = (email.isEmpty ? name : email).split(separator: "@")
      return parts.count == 2 ? parts[1].lowercased() : nil
    }
  }

  /// A device.
  package struct Device: Hashable, Sendable {
    /// Its number.
    package var id: NodeID
    /// The name it is known by.
    package var name: String
    /// Its own addresses.
    package var addresses: [IPAddress]
    /// The user it belongs to; none when it is tagged.
    package var user: UserID?
    /// Its tags.
    package var tags: [String]
    /// The routes that it offers to serve.
    package var announced: [IPPrefix]
    /// Those of them that are approved, by whomever.
    package private(set) var approved: [IPPrefix] = []
    /// The subnets that it serves with approval, without the routes of an exit node.
    package private(set) var routes: [IPPrefix] = []
    /// Whether it serves as an exit node with approval.
    package private(set) var isExitNode = false
    /// Those of its subnets that others reach through it and no other device.
    package var primaryRoutes: [IPPrefix] = []
    /// What is known of its posture, such as `node:os`.
    package var attributes: [String: PostureValue]

    /// A device with all its facts.
    package init(
      id: NodeID,
      name: String,
      addresses: [IPAddress],
      user: UserID? = nil,
      tags: [String] = [],
      announced: [IPPrefix] = [],
      approved: [IPPrefix] = [],
      attributes: [String: PostureValue] = [:]
    ) {
      self.id = id
      self.name = name
      self.addresses = addresses
      self.user = user
      self.tags = tags
      self.announced = announced
      self.attributes = attributes
      approve(approved)
      primaryRoutes = routes
    }

    /// Sets which of its routes are approved; one default route approves both.
    package mutating func approve(_ prefixes: [IPPrefix]) {
      approved = Set(prefixes).filter(announced.contains).sorted()
      routes = approved.filter { $0.length > 0 }
      isExitNode = approved.contains { $0.length == 0 }
    }

    /// The user whose device it is; none when it is tagged, whoever tagged it.
    var person: UserID? { tags.isEmpty ? user : nil }
  }

  /// The users.
  package var people: [Person]
  /// The devices, by number.
  package var devices: [Device]
  /// The domains whose users a `user:*@domain` may mean.
  package var domains: Set<String>

  /// These users and devices; without domains, the domain of the first user is the network's.
  package init(people: [Person], devices: [Device], domains: Set<String> = []) {
    self.people = people.sorted { $0.id < $1.id }
    self.devices = devices.sorted { $0.id < $1.id }
    let first = self.people.lazy.compactMap(\.domain).first
    self.domains = domains.isEmpty ? Set([first].compactMap { $0 }) : domains
  }
}
