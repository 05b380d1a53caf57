// SPDX-License-Identifier: Apache-2.0

package import ControlProtocol
package import Cryptography
package import Keys
internal import Timing

/// What a machine that registers a node is answered.
package enum RegistrationOutcome: Sendable {
  /// This, at once.
  case answer(RegisterResponse)
  /// Nothing until an administrator decides; then it is to be asked again.
  case wait(LoginID)
  /// The request makes no sense; the reason is for the client's log.
  case malformed(String)
}

extension Tailnet {
  /// Decides about a registration that came over the connection of `machine`.
  ///
  /// In this order: a key that is another machine's; logout; a key that ended; a login already asked
  /// for; a node that is already in; a pre-authentication key; and else a new login. Logout comes
  /// before keys, because a client that logs out may still send its key.
  ///
  /// A node key that is in and has not ended is answered as it is, whatever pre-authentication key
  /// comes with it: containers come back with a one-off key long spent.
  package mutating func register(
    _ request: RegisterRequest,
    from machine: MachineKey,
    at now: Moment,
    using entropy: inout Entropy,
    into effects: inout Effects
  ) -> RegistrationOutcome {
    guard !request.nodeKey.isZero else { return .malformed("The request names no node key.") }
    let known = node(with: request.nodeKey)
    if let known, known.machineKey != machine {
      return .answer(refused("This node key is not this machine's."))
    }
    if let expiry = request.expiry, !expiry.isZero, expiry <= now.time {
      return .answer(logOut(known, at: now, into: &effects))
    }
    guard let hostinfo = request.hostinfo else {
      return .malformed("The request has no Hostinfo.")
    }
    do throws(Refusal) {
      _ = try Tag.valid(hostinfo.requestTags)
    } catch {
      return .answer(refused(error.message))
    }
    if let known { return .answer(reregister(known, request, at: now, into: &effects)) }
    if let id = loginID(in: request.followup), let login = logins[id],
      login.machineKey == machine, login.nodeKey == request.nodeKey
    {
      return follow(login)
    }
    let key = request.auth?.authKey ?? ""
    guard key.isEmpty else {
      return .answer(
        admit(request, hostinfo, from: machine, by: key, at: now, using: &entropy, into: &effects)
      )
    }
    return .answer(
      askForLogin(
        request,
        hostinfo,
        from: machine,
        at: now,
        using: &entropy,
        into: &effects
      )
    )
  }

  /// Ends a node's key at the wish of its machine; an ephemeral node goes with it.
  private mutating func logOut(
    _ known: NodeRecord?,
    at now: Moment,
    into effects: inout Effects
  ) -> RegisterResponse {
    if var node = known {
      if node.isEphemeral {
        remove(node, at: now, into: &effects)
      } else if !node.isExpired(at: now.time) {
        node.expiry = now.time
        put(node, at: now, into: &effects)
      }
      audit("machine", "node.logout", node, "", at: now, into: &effects)
    }
    return RegisterResponse(machineAuthorized: false, nodeKeyExpired: true)
  }

  /// Answers a node that is already in: how it stands, or that it needs a new key.
  private mutating func reregister(
    _ known: NodeRecord,
    _ request: RegisterRequest,
    at now: Moment,
    into effects: inout Effects
  ) -> RegisterResponse {
    guard !known.isExpired(at: now.time) else {
      return RegisterResponse(machineAuthorized: false, nodeKeyExpired: true)
    }
    guard let wish = request.expiry, !wish.isZero, wish != known.expiry else {
      return standing(of: known)
    }
    if let end = known.expiry, wish > end {
      return refused("A node cannot make its own key last longer: log in again.")
    }
    var node = known
    node.expiry = wish
    put(node, at: now, into: &effects)
    return standing(of: node)
  }

  private func follow(_ login: LoginRequest) -> RegistrationOutcome {
    switch login.verdict {
    case .pending: .wait(login.id)
    case .rejected: .answer(refused("An administrator rejected this login."))
    case .approved(let id):
      .answer(nodes[id].map(standing) ?? refused("The node was deleted after its approval."))
    }
  }

  /// How a node that is in stands.
  private func standing(of node: NodeRecord) -> RegisterResponse {
    let profile = profile(of: node.shownUser)
    return RegisterResponse(
      user: RegisterUser(
        id: profile.id,
        displayName: profile.displayName,
        created: users[node.shownUser]?.created
      ),
      login: RegisterLogin(
        id: profile.id,
        loginName: profile.loginName,
        displayName: profile.displayName
      ),
      machineAuthorized: node.isAuthorized
    )
  }

  private func refused(_ reason: String) -> RegisterResponse { RegisterResponse(error: reason) }
}

// MARK: - By a pre-authentication key

extension Tailnet {
  private mutating func admit(
    _ request: RegisterRequest,
    _ hostinfo: Hostinfo,
    from machine: MachineKey,
    by text: String,
    at now: Moment,
    using entropy: inout Entropy,
    into effects: inout Effects
  ) -> RegisterResponse {
    guard let secret = AuthSecret(text), var key = keys.values.first(where: { secret.opens($0) })
    else { return refused("The auth key is not valid.") }
    switch key.spent(at: now.time) {
    case .expired: return refused("The auth key \(key.masked) has expired.")
    case .used:
      return refused(
        key.isReusable
          ? "The auth key \(key.masked) has let in all \(key.uses) nodes that it was for."
          : "The auth key \(key.masked) was for one node and has been used."
      )
    case nil: break
    }
    guard Set(hostinfo.requestTags).isSubset(of: key.tags) else {
      return refused("The auth key does not allow the requested tags; leave out --advertise-tags.")
    }
    let owner: NodeRecord.Owner
    if key.tags.isEmpty, let user = key.user {
      owner = .user(user)
    } else {
      owner = .tags(key.tags)
    }
    let candidate = Candidate(
      machineKey: machine,
      nodeKey: request.nodeKey,
      oldNodeKey: request.oldNodeKey,
      hostinfo: hostinfo,
      capabilityVersion: request.version,
      owner: owner,
      method: .authKey(key.id),
      isEphemeral: key.isEphemeral || request.ephemeral,
      expiry: request.expiry,
      isApproved: key.isPreauthorized
    )
    do throws(Refusal) {
      let node = try admit(candidate, at: now, using: &entropy, into: &effects)
      key.uses += 1
      keys[key.id] = key
      effects.mutations.append(.keyUsed(key.id, isReusable: key.isReusable))
      audit("machine", "node.register", node, "by \(key.masked)", at: now, into: &effects)
      watch(key, at: now, into: &effects)
      return standing(of: node)
    } catch {
      return refused(error.message)
    }
  }
}

// MARK: - By an administrator's approval

extension Tailnet {
  private mutating func askForLogin(
    _ request: RegisterRequest,
    _ hostinfo: Hostinfo,
    from machine: MachineKey,
    at now: Moment,
    using entropy: inout Entropy,
    into effects: inout Effects
  ) -> RegisterResponse {
    if let same = logins.pending(machineKey: machine, nodeKey: request.nodeKey),
      request.followup.isEmpty
    {
      return RegisterResponse(authURL: loginURL(same.id))
    }
    let login = LoginRequest(
      id: LoginID(using: &entropy),
      machineKey: machine,
      nodeKey: request.nodeKey,
      oldNodeKey: request.oldNodeKey,
      hostinfo: hostinfo,
      capabilityVersion: request.version,
      isEphemeral: request.ephemeral,
      expiry: request.expiry,
      created: now
    )
    if let loser = logins.insert(login) { effects.settledLogins.append(loser) }
    return RegisterResponse(authURL: loginURL(login.id))
  }

  /// Where a person reads which command lets the machine in.
  package func loginURL(_ id: LoginID) -> String { options.url + "/register/\(id)" }

  private func loginID(in followup: String) -> LoginID? {
    guard let range = followup.split(separator: "/").last else { return nil }
    return LoginID(range)
  }

  /// Lets a waiting machine in, as a node of a user or with tags.
  ///
  /// Tags that the machine asks for are given only when the administrator names them too.
  package mutating func approve(
    _ id: LoginID,
    user: UserID?,
    tags: [String],
    by actor: String,
    at now: Moment,
    using entropy: inout Entropy,
    into effects: inout Effects
  ) throws(Refusal) -> NodeRecord {
    let login = try pendingLogin(id)
    var tags = try Tag.valid(tags)
    // What a machine asks for and its user may give needs no administrator to name it.
    if tags.isEmpty, let user, policyState.policy != nil {
      let asked = try Tag.valid(login.requestedTags)
      if forbiddenTags(asked, for: user).isEmpty { tags = asked }
    }
    let asked = Set(login.requestedTags)
    guard asked.isSubset(of: tags) else {
      throw .invalid(
        "This machine asks for \(asked.sorted().map(NodeName.printable).joined(separator: ", ")). "
          + "Approve with --tags naming them, or reject it."
      )
    }
    let owner: NodeRecord.Owner
    if !tags.isEmpty {
      owner = .tags(tags)
    } else if let user, users[user] != nil {
      owner = .user(user)
    } else {
      throw .invalid("Say whose node it becomes with --user, or give it --tags.")
    }
    let candidate = Candidate(
      machineKey: login.machineKey,
      nodeKey: login.nodeKey,
      oldNodeKey: login.oldNodeKey,
      hostinfo: login.hostinfo,
      capabilityVersion: login.capabilityVersion,
      owner: owner,
      method: .approval,
      isEphemeral: login.isEphemeral,
      expiry: login.expiry,
      isApproved: true
    )
    let node = try admit(candidate, at: now, using: &entropy, into: &effects)
    logins.decide(id, .approved(node.id))
    effects.settledLogins.append(id)
    audit(actor, "auth.approve", node, "", at: now, into: &effects)
    return node
  }

  /// Sends a waiting machine away.
  package mutating func reject(
    _ id: LoginID,
    by actor: String,
    at now: Moment,
    into effects: inout Effects
  ) throws(Refusal) {
    let login = try pendingLogin(id)
    logins.decide(id, .rejected)
    effects.settledLogins.append(id)
    effects.mutations.append(
      .audit(
        AuditEntry(
          actor: actor,
          action: "auth.reject",
          subject: "machine \(login.machineKey.short)",
          time: now.time
        )
      )
    )
  }

  func pendingLogin(_ id: LoginID) throws(Refusal) -> LoginRequest {
    guard let login = logins[id], login.verdict == .pending else {
      throw .notFound("No login with this id is waiting; it may have expired. Start it again.")
    }
    return login
  }
}
