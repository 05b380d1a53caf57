// SPDX-License-Identifier: Apache-2.0

internal import Addressing
package import JSON

/// A rule for SSH as a device is sent it.
package struct SSHPolicyRule: Hashable, Sendable {
  /// What happens to who matches.
  package enum Action: Hashable, Sendable {
    /// It is let in.
    case accept
    /// It is let in when its user proves to be there.
    case check
  }

  /// The addresses that it lets in.
  package var principals: [String]
  /// Which login each name asked for becomes; empty for none.
  package var users: [String: String]
  /// What happens.
  package var action: Action
  /// Names of variables that clients may set.
  package var acceptEnvironment: [String]
  /// Where sessions are recorded.
  package var recorders: [String]
  /// Whether a session that cannot be recorded ends.
  package var enforcesRecorder: Bool

  /// Where a client asks whether a check has been passed; the host does not count.
  private static let delegate =
    "https://unused/machine/ssh/action/$SRC_NODE_ID/to/$DST_NODE_ID?local_user=$LOCAL_USER"

  /// As clients read it.
  package var json: JSONValue {
    var action: JSONObject =
      self.action == .check
      ? ["holdAndDelegate": .string(Self.delegate)]
      : [
        "accept": true, "allowAgentForwarding": true, "allowLocalPortForwarding": true,
        "allowRemotePortForwarding": true,
      ]
    if !recorders.isEmpty {
      action["recorders"] = .array(recorders.map { .string($0) })
      if enforcesRecorder {
        action["onRecordingFailure"] = [
          "RejectSessionWithMessage": "This session has to be recorded, and cannot be.",
          "TerminateSessionWithMessage": "This session can no longer be recorded.",
        ]
      }
    }
    var rule: JSONObject = [
      "principals": .array(principals.map { ["nodeIP": .string($0)] }),
      "sshUsers": .object(
        users.sorted { $0.key < $1.key }.reduce(into: JSONObject()) {
          $0[$1.key] = .string($1.value)
        }
      ),
      "action": .object(action),
    ]
    if !acceptEnvironment.isEmpty {
      rule["acceptEnv"] = .array(acceptEnvironment.map { .string($0) })
    }
    return .object(rule)
  }
}

/// An entry of `ssh` with every word resolved.
struct SSHAccess: Hashable, Sendable {
  private static let localPart = "localpart:*@"

  var isCheck: Bool
  var checkPeriod: PolicyDocument.CheckPeriod?
  var sources: [NodeID]
  /// The devices that it leads to, without those that are somebody's own.
  var nodes: [NodeID]
  /// Whether it leads to the devices of the user who asks.
  var leadsToOwn: Bool
  var users: [String]
  var acceptEnvironment: [String]
  var recorders: [String]
  var enforcesRecorder: Bool

  static func compile(_ resolver: inout Resolver) -> [SSHAccess] {
    let document = resolver.document
    return document.ssh.map { rule in
      let names = rule.postures.isEmpty ? document.defaultPostures : rule.postures
      let postures = names.compactMap { document.postures[$0.value]?.value }
      let sources = resolver.sources(rule.sources.map(\.value), postures: postures)
      let words = rule.destinations.map(\.value)
      return SSHAccess(
        isCheck: rule.isCheck,
        checkPeriod: rule.checkPeriod,
        sources: sources.own,
        nodes: .union(words.compactMap { resolver.identity($0) }),
        leadsToOwn: words.contains(.autogroup(.own)),
        users: rule.users,
        acceptEnvironment: rule.acceptEnvironment,
        recorders: recorders(rule.recorders.map(\.value), &resolver),
        enforcesRecorder: rule.enforcesRecorder
      )
    }
  }

  /// The port at which recorders listen.
  private static let recorderPort: UInt16 = 80

  private static func recorders(_ words: [Selector], _ resolver: inout Resolver) -> [String] {
    words.flatMap { word -> [String] in
      let addresses =
        resolver.identity(word)?.flatMap { resolver.device($0)?.addresses ?? [] }
        ?? resolver.spelled(word)?.filter(\.isHost).map(\.first) ?? []
      return addresses.map { Endpoint($0, port: recorderPort).description }
    }
  }

  /// Whether it maps users to logins of their own names.
  private var domainsOfLogins: [String] {
    users.compactMap { $0.after(Self.localPart).map { $0.lowercased() } }
  }

  /// Whether a device is told of it though it does not lead there.
  func tellsSource(_ node: NodeID) -> Bool { !domainsOfLogins.isEmpty && sources.holds(node) }

  /// What a device is sent of it.
  ///
  /// Where it maps users to logins of their own names, there is a rule for each user, and the
  /// devices that it leads from are told of it too.
  func rules(at device: PolicyWorld.Device, in policy: CompiledPolicy) -> [SSHPolicyRule] {
    let kin = device.person.map(policy.personNodes) ?? []
    if nodes.holds(device.id) { return rules(from: sources, in: policy) }
    if leadsToOwn, device.person != nil {
      let own = kin.filter(sources.holds)
      if !own.isEmpty { return rules(from: own, in: policy) }
    }
    guard tellsSource(device.id) else { return [] }
    return rules(
      from: device.person == nil ? [device.id] : kin.filter(sources.holds),
      in: policy
    )
  }

  private func rules(from nodes: [NodeID], in policy: CompiledPolicy) -> [SSHPolicyRule] {
    guard !nodes.isEmpty else { return [] }
    let common = logins
    guard !domainsOfLogins.isEmpty else { return [rule(nodes, common, policy)] }
    var rules: [SSHPolicyRule] = []
    var byPerson: [UserID: [NodeID]] = [:]
    var tagged: [NodeID] = []
    for node in nodes {
      if let person = policy.device(node)?.person {
        byPerson[person, default: []].append(node)
      } else {
        tagged.append(node)
      }
    }
    for person in policy.world.people {
      guard let own = byPerson[person.id] else { continue }
      rules.append(rule(own, common, policy))
      if let domain = person.domain, domainsOfLogins.contains(domain) {
        rules.append(rule(own, [person.localPart: person.localPart], policy))
      }
    }
    if !tagged.isEmpty { rules.append(rule(tagged, common, policy)) }
    return rules
  }

  /// Which login each name asked for becomes: itself when it is named, and root none unless it is.
  var logins: [String: String] {
    var logins = ["root": ""]
    for user in users where !user.hasPrefix(Self.localPart) {
      if user == "autogroup:nonroot" { logins["*"] = "=" } else { logins[user] = user }
    }
    return logins
  }

  private func rule(
    _ nodes: [NodeID],
    _ logins: [String: String],
    _ policy: CompiledPolicy
  ) -> SSHPolicyRule {
    let addresses = nodes.flatMap { policy.device($0)?.addresses ?? [] }
    return SSHPolicyRule(
      principals: (addresses.filter(\.isV4) + addresses.filter { !$0.isV4 }).map(\.description),
      users: logins,
      action: isCheck ? .check : .accept,
      acceptEnvironment: acceptEnvironment,
      recorders: recorders,
      enforcesRecorder: enforcesRecorder
    )
  }
}
