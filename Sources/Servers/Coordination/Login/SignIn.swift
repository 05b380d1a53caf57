// SPDX-License-Identifier: Apache-2.0

package import Cryptography
package import Timing

extension Tailnet {
  /// The user whom an identity provider means; none who has never logged in.
  package func user(of identity: ExternalIdentity) -> User? {
    users.values.first { $0.identity == identity }
  }

  /// Lets a waiting machine in for a person who has proven to be there.
  ///
  /// Its key ends at `end`, where the provider decides that.
  package mutating func signIn(
    _ id: LoginID,
    as claims: IdentityClaims,
    until end: Timestamp? = nil,
    at now: Moment,
    using entropy: inout Entropy,
    into effects: inout Effects
  ) throws(Refusal) -> NodeRecord {
    let login = try pendingLogin(id)
    let asked = try Tag.valid(login.requestedTags)
    let user = try adopt(claims, at: now, into: &effects)
    let forbidden = forbiddenTags(asked, for: user.id)
    guard forbidden.isEmpty else {
      throw Refusal(
        .forbidden,
        "This machine asks for \(forbidden.joined(separator: ", ")), which you may not give. An "
          + "administrator can approve it."
      )
    }
    let wish = login.expiry.flatMap { $0.isZero ? nil : $0 }
    let candidate = Candidate(
      machineKey: login.machineKey,
      nodeKey: login.nodeKey,
      oldNodeKey: login.oldNodeKey,
      hostinfo: login.hostinfo,
      capabilityVersion: login.capabilityVersion,
      owner: asked.isEmpty ? .user(user.id) : .tags(asked),
      method: .login,
      isEphemeral: login.isEphemeral,
      expiry: asked.isEmpty ? end.map { end in wish.map { min($0, end) } ?? end } ?? wish : wish
    )
    let node = try admit(candidate, at: now, using: &entropy, into: &effects)
    logins.decide(id, .approved(node.id))
    effects.settledLogins.append(id)
    audit("user \(user.name)", "node.login", node, "", at: now, into: &effects)
    return node
  }

  /// Makes the user whom a provider means, or takes over what it says of one who is known.
  ///
  /// A user whom an administrator made is never taken for one of a provider's, whatever name or
  /// mail address they share.
  package mutating func adopt(
    _ claims: IdentityClaims,
    at now: Moment,
    into effects: inout Effects
  ) throws(Refusal) -> User {
    let email = claims.isEmailVerified ? Self.shown(claims.email) : ""
    let name = Self.shown(claims.name)
    guard var user = user(of: claims.identity) else {
      let user = User(
        id: nextUserID(),
        name: freeName(for: claims),
        displayName: name,
        email: email,
        identity: claims.identity,
        groups: claims.groups,
        created: now.time
      )
      users[user.id] = user
      policyWorldChanged()
      effects.mutations.append(.user(user))
      audit("server", "user.create", "user \(user.name)", "by login", at: now, into: &effects)
      return user
    }
    let before = user
    (user.displayName, user.email, user.groups) = (name, email, claims.groups)
    guard user != before else { return user }
    users[user.id] = user
    policyWorldChanged()
    effects.mutations.append(.user(user))
    audit("server", "user.update", "user \(user.name)", "by login", at: now, into: &effects)
    note(.user(user.id), at: now, into: &effects)
    return user
  }

  /// A name that no other user has: the one that the person likes, or their address.
  private func freeName(for claims: IdentityClaims) -> String {
    var base = "user"
    // Never a part of an address: who is alice somewhere is not alice here.
    for text in [claims.preferredName, claims.isEmailVerified ? claims.email : ""] {
      // A name that cannot be one is passed over.
      if let name = try? User.validName(text) {
        base = name
        break
      }
    }
    let taken = Set(users.values.map { $0.name.lowercased() })
    if !taken.contains(base.lowercased()) { return base }
    var number = 2
    while true {
      let suffix = "-\(number)"
      let name = base.prefix(User.maximumNameLength - suffix.utf8.count) + suffix
      if !taken.contains(name.lowercased()) { return String(name) }
      number += 1
    }
  }

  /// What a provider says, as it may be shown; nothing where it may not.
  private static func shown(_ text: String) -> String {
    // What cannot be shown is left out, rather than the person.
    (try? User.validText(text, for: "name")) ?? ""
  }
}
