// SPDX-License-Identifier: Apache-2.0

internal import Addressing
internal import ControlProtocol

/// Runs the tests that a policy carries.
///
/// Users and tags are judged by who they are: one without a device is tried as if it had one.
struct PolicyTester {
  private let document: PolicyDocument
  private let world: PolicyWorld
  private let compiled: CompiledPolicy
  private var resolver: Resolver

  /// Who asks.
  private enum Subject {
    case device(PolicyWorld.Device)
    case address(IPAddress)

    var node: NodeID? { if case .device(let device) = self { device.id } else { nil } }
    var person: UserID? { if case .device(let device) = self { device.person } else { nil } }
  }

  /// What is asked for.
  private enum Object {
    case device(PolicyWorld.Device)
    case range(AddressRange)
  }

  /// A test that makes no sense, which fails.
  private struct Senseless: Error { var reason: String }

  init(_ document: PolicyDocument, _ world: PolicyWorld) {
    self.document = document
    var words: [String] = []
    for test in document.tests {
      words.append(test.source.value)
      for target in test.accept + test.deny { words.append(Self.word(target.value)) }
    }
    for test in document.sshTests {
      words.append(test.source.value)
      words += test.destinations.map(\.value)
    }
    self.world = world.havingDevices(for: words.compactMap { Selector($0) }, of: document)
    compiled = CompiledPolicy(document, for: self.world)
    resolver = Resolver(document, self.world)
  }

  /// What stands before the last colon.
  private static func word(_ target: String) -> String {
    target.lastIndex(of: ":").map { String(target[..<$0]) } ?? target
  }

  /// Throws when a test fails, saying which.
  static func run(_ document: PolicyDocument, _ world: PolicyWorld) throws(PolicyFault) {
    guard !document.tests.isEmpty || !document.sshTests.isEmpty else { return }
    var tester = PolicyTester(document, world)
    var failures: [(offset: Int, reason: String)] = []
    for test in document.tests {
      failures += tester.failures(of: test).map { (test.offset, $0) }
    }
    for test in document.sshTests {
      failures += tester.failures(of: test).map { (test.offset, $0) }
    }
    guard let first = failures.first else { return }
    throw PolicyFault(first.offset, "test(s) failed", details: failures.prefix(100).map(\.reason))
  }

  // MARK: Tests of access

  private mutating func failures(of test: PolicyDocument.AccessTest) -> [String] {
    let source = printable(test.source.value)
    var policy = compiled
    var subjects: [Subject]
    do throws(Senseless) {
      guard !test.protoIsUnknown else { throw Senseless(reason: "its protocol is not known") }
      subjects = try self.subjects(test.source.value)
      if !test.attributes.isEmpty {
        // Only here does a test ask for a compilation of its own.
        let changed = world.giving(test.attributes, to: subjects.compactMap(\.node))
        policy = CompiledPolicy(document, for: changed)
        subjects = subjects.map { subject in
          subject.node.flatMap { policy.device($0) }.map(Subject.device) ?? subject
        }
      }
    } catch {
      return ["\(source): \(error.reason)"]
    }
    var failures: [String] = []
    for (targets, wanted) in [(test.accept, true), (test.deny, false)] {
      for target in targets {
        do throws(Senseless) {
          let (objects, port) = try self.objects(target.value, for: subjects)
          for subject in subjects {
            for object in objects {
              let isAllowed = protocols(test).contains {
                Self.allows(subject, object, $0, port, in: policy)
              }
              guard isAllowed != wanted else { continue }
              let verb = wanted ? "cannot reach" : "can reach"
              throw Senseless(reason: "\(source) \(verb) \(printable(target.value))")
            }
          }
        } catch {
          failures.append(error.reason)
        }
      }
    }
    return failures
  }

  private func protocols(_ test: PolicyDocument.AccessTest) -> [Int] {
    test.proto.map { [$0] } ?? [6, 17]
  }

  private mutating func subjects(_ text: String) throws(Senseless) -> [Subject] {
    let selector = try known(text)
    switch selector {
    case .addresses(let range) where range.isHost: return [subject(range.first)]
    case .host(let name):
      guard let range = document.hosts[name]?.value, range.isHost else {
        throw Senseless(reason: "its source is more than one address")
      }
      return [subject(range.first)]
    case .user, .usersOf, .group, .tag, .autogroup:
      guard let nodes = resolver.identity(selector), !nodes.isEmpty else {
        throw Senseless(reason: "its source means nobody")
      }
      return nodes.compactMap { resolver.device($0) }.map(Subject.device)
    default: throw Senseless(reason: "its source is not one user, group, tag, host or address")
    }
  }

  private mutating func subject(_ address: IPAddress) -> Subject {
    let range = AddressRange(address)
    for node in resolver.nodes(in: range) {
      if let device = resolver.device(node), device.addresses.contains(address) {
        return .device(device)
      }
    }
    return .address(address)
  }

  private func known(_ text: String) throws(Senseless) -> Selector {
    guard let selector = Selector(text) else { throw Senseless(reason: "it is not understood") }
    if case .unknownAutogroup = selector { throw Senseless(reason: "it is not understood") }
    do throws(PolicyFault) {
      try PolicyChecker(document, world).checkName(Located(selector, at: 0), "tests")
    } catch {
      throw Senseless(reason: error.message)
    }
    return selector
  }

  private mutating func objects(
    _ text: String,
    for subjects: [Subject]
  ) throws(Senseless) -> ([Object], UInt16) {
    guard let colon = text.lastIndex(of: ":"),
      let port = UInt16(text[text.index(after: colon)...]), port > 0
    else { throw Senseless(reason: "\(printable(text)) must be a destination and one port") }
    let word = String(text[..<colon].filter { $0 != "[" && $0 != "]" })
    guard !word.contains("/") else {
      throw Senseless(reason: "\(printable(text)) must not be a network")
    }
    let selector = try known(word)
    switch selector {
    case .addresses(let range): return ([object(range)], port)
    case .host(let name):
      return (document.hosts[name].map { [object($0.value)] } ?? [], port)
    case .set:
      return ((resolver.spelled(selector) ?? []).map(Object.range), port)
    case .autogroup(.own):
      let people = Set(subjects.compactMap { $0.person })
      guard !people.isEmpty, people.count == 1, subjects.allSatisfy({ $0.person != nil }) else {
        throw Senseless(reason: "\(printable(text)): its source is not one user")
      }
      let nodes = people.flatMap { resolver.nodes(of: $0) }
      return (nodes.compactMap { resolver.device($0) }.map(Object.device), port)
    case .user, .usersOf, .group, .tag, .autogroup(.member), .autogroup(.tagged),
      .autogroup(.owner), .autogroup(.admin), .autogroup(.networkAdmin), .autogroup(.itAdmin),
      .autogroup(.billingAdmin), .autogroup(.auditor):
      let nodes = resolver.identity(selector) ?? []
      guard !nodes.isEmpty else { throw Senseless(reason: "\(printable(text)) means nobody") }
      return (nodes.compactMap { resolver.device($0) }.map(Object.device), port)
    default: throw Senseless(reason: "\(printable(text)) cannot be tested")
    }
  }

  /// What is at an address: a device, of which no other address counts, or whatever there is.
  private mutating func object(_ range: AddressRange) -> Object {
    guard range.isHost, case .device(var device) = subject(range.first) else {
      return .range(range)
    }
    device.addresses = [range.first]
    return .device(device)
  }

  /// Whether some address of the subject may send to some address of the object.
  private static func allows(
    _ subject: Subject,
    _ object: Object,
    _ proto: Int,
    _ port: UInt16,
    in policy: CompiledPolicy
  ) -> Bool {
    policy.rules.contains { rule in
      guard covers(rule, subject, object) else { return false }
      return rule.flows.contains { flow in
        guard
          flow.protocols.isEmpty ? PolicyProtocol.isUsual(proto) : flow.protocols.contains(proto)
        else { return false }
        return flow.openings.contains { opening in
          opening.ports.contains { ($0.first...$0.last).contains(port) }
            && leads(opening.destination, to: object, rule)
        }
      }
    }
  }

  private static func covers(_ rule: AccessRule, _ subject: Subject, _ object: Object) -> Bool {
    switch subject {
    case .address(let address): return !rule.isOwn && rule.sources.ranges.contains(address)
    case .device(let device):
      guard device.addresses.contains(where: rule.sources.ranges.contains) else { return false }
      guard rule.isOwn else { return true }
      guard case .device(let other) = object, let person = device.person else { return false }
      return other.person == person
    }
  }

  private static func leads(
    _ destination: Destination,
    to object: Object,
    _ rule: AccessRule
  ) -> Bool {
    switch (destination, object) {
    case (.everything, _), (.own, _): true
    case (.nodes(let nodes), .device(let device)): nodes.holds(device.id) && rule.via == nil
    case (.nodes, .range): false
    case (.ranges(let ranges), .device(let device)):
      device.addresses.contains { address in ranges.contains { $0.contains(address) } }
    case (.ranges(let ranges), .range(let range)): ranges.contains { $0.contains(range) }
    case (.internet, .range(let range)): AddressRanges.internet.contains(range)
    case (.internet, .device): false
    }
  }
}

// MARK: - Tests of SSH

extension PolicyTester {
  private mutating func failures(of test: PolicyDocument.SSHTest) -> [String] {
    let source = printable(test.source.value)
    do throws(Senseless) {
      let subjects = try subjects(test.source.value)
      var targets: [PolicyWorld.Device] = []
      for destination in test.destinations {
        targets += try sshTargets(destination.value, for: subjects)
      }
      var failures: [String] = []
      for subject in subjects {
        for target in targets {
          failures += trials(of: test, subject, target).map { "\(source) \($0)" }
        }
      }
      return failures
    } catch {
      return ["\(source): \(error.reason)"]
    }
  }

  private func trials(
    of test: PolicyDocument.SSHTest,
    _ subject: Subject,
    _ target: PolicyWorld.Device
  ) -> [String] {
    func verdict(_ user: String) -> SSHPolicyRule.Action? { action(subject, target, user) }
    let name = printable(target.name)
    return test.accept.filter { verdict($0) == nil }
      .map { "cannot log in as \(printable($0)) at \(name)" }
      + test.deny.filter { verdict($0) != nil }
      .map { "can log in as \(printable($0)) at \(name)" }
      + test.check.filter { verdict($0) != .check }
      .map { "is not checked as \(printable($0)) at \(name)" }
  }

  private mutating func sshTargets(
    _ text: String,
    for subjects: [Subject]
  ) throws(Senseless) -> [PolicyWorld.Device] {
    let selector = try known(text)
    var nodes: [NodeID]
    switch selector {
    case .autogroup(.own):
      nodes = Set(subjects.compactMap { $0.person }).flatMap { resolver.nodes(of: $0) }
    case .addresses, .host:
      let ranges = resolver.spelled(selector) ?? []
      nodes = resolver.nodes(at: .ranges(ranges)).filter { node in
        resolver.device(node)?.addresses.contains { address in
          ranges.contains { $0.contains(address) }
        } ?? false
      }
    default: nodes = resolver.identity(selector) ?? []
    }
    nodes.sort()
    guard !nodes.isEmpty else { throw Senseless(reason: "\(printable(text)) means no device") }
    return nodes.compactMap { resolver.device($0) }
  }

  /// What happens to a subject that wants to log in; nil when it is not let in.
  private func action(
    _ subject: Subject,
    _ target: PolicyWorld.Device,
    _ user: String
  ) -> SSHPolicyRule.Action? {
    let addresses: [IPAddress] =
      switch subject {
      case .device(let device): device.addresses
      case .address(let address): [address]
      }
    let principals = Set(addresses.map(\.description))
    for rule in compiled.sshRules(of: target.id) where !principals.isDisjoint(with: rule.principals)
    {
      if let login = rule.users[user] ?? rule.users["*"], !login.isEmpty { return rule.action }
    }
    return nil
  }
}

extension PolicyProtocol {
  /// Whether a rule without protocol means it: TCP, UDP and both ICMP.
  static func isUsual(_ proto: Int) -> Bool { [1, 6, 17, 58].contains(proto) }
}
