// SPDX-License-Identifier: Apache-2.0

internal import Addressing

/// Looks whether the parts of a policy fit together: that what they name exists and may stand there.
struct PolicyChecker {
  let document: PolicyDocument
  let world: PolicyWorld
  /// The groups that identity providers tell of.
  private let outerGroups: Set<String>

  init(_ document: PolicyDocument, _ world: PolicyWorld) {
    self.document = document
    self.world = world
    outerGroups = Set(world.people.flatMap(\.groups).map { "group:" + $0 })
  }

  func check() throws(PolicyFault) {
    try checkGroups()
    try checkTagOwners()
    try checkSets()
    try checkApprovers()
    for rule in document.rules { try check(rule) }
    for rule in document.ssh { try check(rule) }
    for entry in document.attributes {
      for target in entry.targets {
        guard target.value.isTargetOfAttributes else { throw misplaced(target, "nodeAttrs") }
        try checkName(target, "nodeAttrs")
      }
    }
    try checkPostures(document.defaultPostures)
  }

  // MARK: Named things

  private func checkGroups() throws(PolicyFault) {
    for group in document.groups.values.inOrder {
      for member in group.members {
        switch member.value {
        case .user: try checkName(member, "groups")
        case .group:
          throw PolicyFault(member.offset, "a group cannot have another group as its member")
        default: throw PolicyFault(member.offset, "a group can only have users as its members")
        }
      }
    }
  }

  private func checkTagOwners() throws(PolicyFault) {
    for owners in document.tagOwners.values.inOrder {
      for owner in owners.members {
        switch owner.value {
        case .user, .usersOf, .group, .tag: break
        case .autogroup(let group) where group.isOfUsers: break
        default: throw misplaced(owner, "tagOwners")
        }
        try checkName(owner, "tagOwners")
      }
    }
    try checkCycles(document.tagOwners.mapValues { (offset: $0.offset, next: tags($0.members)) })
  }

  private func tags(_ members: [Located<Selector>]) -> [String] {
    members.compactMap { if case .tag(let tag) = $0.value { tag } else { nil } }
  }

  private func checkSets() throws(PolicyFault) {
    for set in document.sets.values.sorted(by: { $0.offset < $1.offset }) {
      for step in set.value { try checkName(step.selector, "ipsets") }
    }
    try checkCycles(
      document.sets.mapValues { set in
        let next = set.value.compactMap { step -> String? in
          if case .set(let name) = step.selector.value { name } else { nil }
        }
        return (offset: set.offset, next: next)
      }
    )
  }

  private func checkCycles(_ graph: [String: (offset: Int, next: [String])]) throws(PolicyFault) {
    var done: Set<String> = []
    for start in graph.sorted(by: { $0.value.offset < $1.value.offset }).map(\.key) {
      // A walk by hand: a chain of names may be longer than the stack is deep.
      var path: [(name: String, next: [String])] = []
      var onPath: Set<String> = []
      func enter(_ name: String) {
        path.append((name, graph[name]?.next ?? []))
        onPath.insert(name)
      }
      if done.contains(start) { continue }
      enter(start)
      while let top = path.last {
        guard let next = top.next.last else {
          done.insert(top.name)
          onPath.remove(top.name)
          path.removeLast()
          continue
        }
        path[path.count - 1].next.removeLast()
        if onPath.contains(next) {
          throw PolicyFault(
            graph[next]?.offset ?? 0,
            "\"\(printable(next))\" leads back to itself"
          )
        }
        if !done.contains(next) { enter(next) }
      }
    }
  }

  private func checkApprovers() throws(PolicyFault) {
    let named =
      document.routeApprovers.values.inOrder + document.serviceApprovers.values.inOrder
    for approver in named.flatMap(\.members) + document.exitApprovers {
      switch approver.value {
      case .everything, .user, .usersOf, .group, .tag: break
      case .autogroup(let group) where group.isOfUsers || group == .tagged: break
      default: throw misplaced(approver, "autoApprovers")
      }
      try checkName(approver, "autoApprovers")
    }
  }

  // MARK: Rules

  private func check(_ rule: PolicyDocument.Rule) throws(PolicyFault) {
    let what = rule.isGrant ? "grants" : "acls"
    for source in rule.sources {
      guard source.value.isSource else { throw misplaced(source, "src of \(what)") }
      try checkName(source, what)
    }
    for target in rule.targets {
      let selector = target.selector
      guard selector.value.isTarget else { throw misplaced(selector, "dst of \(what)") }
      try checkName(selector, what)
      switch selector.value {
      case .autogroup(.own):
        for source in rule.sources where !source.value.isOfUsers {
          if source.value == .everything, !rule.isGrant { continue }
          throw PolicyFault(
            source.offset,
            "autogroup:self can only be used with users, groups, or supported autogroups"
          )
        }
      case .autogroup(.internet) where !rule.capabilities.isEmpty:
        throw PolicyFault(selector.offset, "autogroup:internet cannot be used with \"app\"")
      case .addresses(let range) where range.prefix?.length == 0:
        throw PolicyFault(
          selector.offset,
          "dst \"\(range.text)\" is everything: use autogroup:internet or \"*\""
        )
      default: break
      }
    }
    for router in rule.via {
      guard case .tag = router.value else {
        throw PolicyFault(router.offset, "via can only have tags")
      }
      try checkName(router, what)
    }
    try checkPostures(rule.postures)
  }

  private func checkPostures(_ names: [Located<String>]) throws(PolicyFault) {
    for name in names where document.postures[name.value] == nil {
      throw PolicyFault(name.offset, "posture not found: \"\(printable(name.value))\"")
    }
  }

  // MARK: SSH

  private func check(_ rule: PolicyDocument.SSHRule) throws(PolicyFault) {
    for source in rule.sources {
      switch source.value {
      case .user, .usersOf, .group, .tag: break
      case .autogroup(let group) where group.isOfUsers || group == .tagged: break
      default: throw misplaced(source, "src of ssh")
      }
      try checkName(source, "ssh")
    }
    for destination in rule.destinations {
      try checkName(destination, "ssh")
      try check(destination, of: rule)
    }
    for recorder in rule.recorders {
      switch recorder.value {
      case .tag, .host, .addresses: try checkName(recorder, "ssh")
      default: throw misplaced(recorder, "recorder of ssh")
      }
    }
    try checkPostures(rule.postures)
  }

  private func check(
    _ destination: Located<Selector>,
    of rule: PolicyDocument.SSHRule
  ) throws(PolicyFault) {
    let offset = destination.offset
    switch destination.value {
    case .tag, .autogroup(.tagged): return
    case .user:
      guard rule.sources.allSatisfy({ $0.value == destination.value }) else {
        throw PolicyFault(
          offset,
          "users in dst are only allowed from the same user in src"
        )
      }
    case .autogroup(.own):
      guard rule.sources.allSatisfy(\.value.isOfUsers) else {
        throw PolicyFault(
          offset,
          "autogroup:self can only be used with users, groups, or supported autogroups"
        )
      }
    case .autogroup(let group) where group.isOfUsers:
      guard rule.sources.allSatisfy(\.value.isOfUsers) else {
        throw PolicyFault(offset, "tags in src are not allowed to access devices of users in dst")
      }
    default: throw misplaced(destination, "dst of ssh")
    }
  }

  // MARK: Names

  private func misplaced(_ selector: Located<Selector>, _ what: String) -> PolicyFault {
    PolicyFault(selector.offset, "\"\(selector.value.text)\" cannot be used in \(what)")
  }

  /// Whether what a word names is there.
  func checkName(_ word: Located<Selector>, _ what: String) throws(PolicyFault) {
    switch word.value {
    case .group(let name) where document.groups[name] == nil && !outerGroups.contains(name):
      throw PolicyFault(word.offset, "group not found: \"\(printable(name))\"")
    case .tag(let name) where document.tagOwners[name] == nil:
      throw PolicyFault(word.offset, "tag not found: \"\(printable(name))\"")
    case .host(let name) where document.hosts[name] == nil:
      throw PolicyFault(word.offset, "host not found: \"\(printable(name))\"")
    case .set(let name) where document.sets[name] == nil:
      throw PolicyFault(word.offset, "ipset not found: \"\(printable(name))\"")
    case .usersOf(let domain) where !world.domains.contains(domain):
      throw PolicyFault(
        word.offset,
        "[\(what)] \(printable(domain)) is not associated with this Tailnet and cannot be used in "
          + "user:*@<domain> expressions"
      )
    case .user(let name) where world.people(called: name).count > 1:
      throw PolicyFault(word.offset, "\"\(printable(name))\" means more than one user")
    default: break
    }
  }
}

extension Selector {
  /// Whether it means devices of users, and nothing else.
  var isOfUsers: Bool {
    switch self {
    case .user, .usersOf, .group: true
    case .autogroup(let group): group.isOfUsers
    default: false
    }
  }

  fileprivate var isSource: Bool {
    switch self {
    case .autogroup(.own), .autogroup(.internet), .autogroup(.nonroot), .service,
      .unknownAutogroup:
      false
    default: true
    }
  }

  fileprivate var isTarget: Bool {
    switch self {
    case .autogroup(.dangerAll), .autogroup(.nonroot), .autogroup(.shared), .unknownAutogroup:
      false
    default: true
    }
  }

  fileprivate var isTargetOfAttributes: Bool {
    switch self {
    case .everything, .user, .usersOf, .group, .tag, .host, .set, .addresses: true
    case .autogroup(let group): group.isOfUsers || group == .tagged
    default: false
    }
  }

  /// As it is written.
  var text: String {
    switch self {
    case .everything: "*"
    case .user(let text), .group(let text), .tag(let text), .host(let text), .set(let text),
      .service(let text), .unknownAutogroup(let text):
      printable(text)
    case .usersOf(let domain): "user:*@" + printable(domain)
    case .addresses(let range): range.text
    case .autogroup(let group): "autogroup:" + group.rawValue
    }
  }
}

extension Collection where Element == PolicyDocument.Named {
  /// As they are written.
  fileprivate var inOrder: [PolicyDocument.Named] { sorted { $0.offset < $1.offset } }
}

extension PolicyWorld {
  /// The users that a word such as `ann@example.com` or `ann@` means.
  func people(called word: String) -> [Person] {
    let bare = word.hasSuffix("@") ? String(word.dropLast()) : nil
    return people.filter { person in
      let (name, email) = (person.name.lowercased(), person.email.lowercased())
      if let bare { return name == bare || name == word }
      return email == word || name == word
    }
  }
}
