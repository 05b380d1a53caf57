// SPDX-License-Identifier: Apache-2.0

internal import Addressing
internal import ControlProtocol

/// One rule of a policy with every word resolved: the same for all devices.
///
/// Two rules are equal when they let the same traffic in at the same devices, so that what a change
/// concerns can be told by comparing rules.
struct AccessRule: Hashable, Sendable {
  /// Ports of one destination.
  struct Opening: Hashable, Sendable {
    var destination: Destination
    var ports: [PortRange]
  }

  /// Openings that share their protocols.
  struct Flow: Hashable, Sendable {
    var protocols: [Int]
    var openings: [Opening]
  }

  var sources: SourceSet
  var flows: [Flow]
  /// Where it leads, ports aside.
  var destinations: [Destination]
  var capabilities: [String: [[UInt8]]]
  /// The devices that alone may route to its destinations; nil where any may.
  var via: [NodeID]?
  /// Whether it leads only from a user's devices to the same user's devices.
  var isOwn = false
  /// The devices at which it lets traffic in.
  var nodes: [NodeID]

  /// What `device` lets in by this rule.
  ///
  /// - Parameters:
  ///   - device: The device.
  ///   - kin: The devices of the same user that are among the sources, for a rule among the devices
  ///     of one user.
  /// - Returns: The rules as clients read them.
  func filterRules(at device: PolicyWorld.Device, kin: SourceSet?) -> [FilterRule] {
    guard nodes.holds(device.id) else { return [] }
    let sources = isOwn ? kin ?? SourceSet() : self.sources
    var rules: [FilterRule] = []
    if !sources.texts.isEmpty {
      for flow in flows {
        var ports: [NetPortRange] = []
        for opening in flow.openings {
          for text in texts(of: opening.destination, at: device) {
            ports += opening.ports.map { NetPortRange(ip: text, ports: $0) }
          }
        }
        guard !ports.isEmpty else { continue }
        rules.append(
          FilterRule(srcIPs: sources.texts, dstPorts: ports, ipProto: flow.protocols)
        )
      }
    }
    if !capabilities.isEmpty, via == nil {
      let own = ownAddresses(at: device)
      if !own.isEmpty {
        rules.append(
          FilterRule(
            srcIPs: sources.texts,
            capGrant: [CapGrant(dsts: own.map { IPPrefix(host: $0) }, capMap: capabilities)]
          )
        )
      }
    }
    return rules
  }

  /// A destination as it is spelled at a device that it concerns.
  private func texts(
    of destination: Destination,
    at device: PolicyWorld.Device
  ) -> [String] {
    if let via { return via.holds(device.id) ? routed(destination, at: device) : [] }
    switch destination {
    case .everything: return ["*"]
    case .nodes(let nodes):
      return nodes.holds(device.id) ? device.addresses.map(\.description) : []
    case .own: return device.addresses.map(\.description)
    case .ranges(let ranges):
      return ranges.filter { Self.concerns($0, device) }.map(\.text)
    case .internet:
      let ranges = AddressRanges.internet.ranges
      return (device.isExitNode ? ranges : ranges.filter { Self.concerns($0, device) }).map(\.text)
    }
  }

  /// What a device that a rule goes through routes of a destination.
  private func routed(_ destination: Destination, at device: PolicyWorld.Device) -> [String] {
    switch destination {
    case .everything: return device.routes.map { AddressRange($0).text }
    case .ranges(let ranges):
      return ranges.filter { Self.isServed($0, by: device) }.map(\.text)
    case .internet:
      let ranges = AddressRanges.internet.ranges
      return (device.isExitNode ? ranges : ranges.filter { Self.isServed($0, by: device) })
        .map(\.text)
    case .nodes, .own: return []
    }
  }

  static func concerns(_ range: AddressRange, _ device: PolicyWorld.Device) -> Bool {
    device.addresses.contains { range.contains($0) } || isServed(range, by: device)
  }

  static func isServed(_ range: AddressRange, by device: PolicyWorld.Device) -> Bool {
    device.routes.contains { AddressRange($0).overlaps(range) }
  }

  private func ownAddresses(at device: PolicyWorld.Device) -> [IPAddress] {
    device.addresses.filter { address in
      destinations.contains { destination in
        switch destination {
        case .everything: true
        case .nodes(let nodes): nodes.holds(device.id)
        case .own: true
        case .ranges(let ranges): ranges.contains { $0.contains(address) }
        case .internet: false
        }
      }
    }
  }

  /// Whether it leads to what lies behind `route`, a subnet that some device serves.
  func leads(to route: AddressRange) -> Bool {
    destinations.contains { destination in
      switch destination {
      case .everything: true
      case .ranges(let ranges): ranges.contains { $0.overlaps(route) }
      case .internet: AddressRanges.internet.overlaps(route)
      case .nodes, .own: false
      }
    }
  }

  /// Whether it leads out through exit nodes.
  var leadsOut: Bool { destinations.contains { $0 == .everything || $0 == .internet } }
}

/// Resolves the rules of a policy.
struct RuleCompiler {
  private var resolver: Resolver
  private(set) var rules: [AccessRule] = []
  private let document: PolicyDocument

  init(_ resolver: Resolver) {
    self.resolver = resolver
    document = resolver.document
  }

  /// Every rule: grants first, then ACLs, each in its order.
  static func compile(_ resolver: inout Resolver) -> [AccessRule] {
    var compiler = RuleCompiler(resolver)
    if !compiler.document.hasRules {
      compiler.add(.allowingEverything)
    } else {
      for rule in compiler.document.rules where rule.isGrant { compiler.add(rule) }
      for rule in compiler.document.rules where !rule.isGrant { compiler.add(rule) }
    }
    resolver = compiler.resolver
    return compiler.rules
  }

  private mutating func add(_ rule: PolicyDocument.Rule) {
    let own = rule.targets.filter { $0.selector.value == .autogroup(.own) }
    let others = rule.targets.filter { $0.selector.value != .autogroup(.own) }
    if !others.isEmpty { add(rule, to: others) }
    if !own.isEmpty { add(rule, to: own, isOwn: true) }
  }

  private mutating func add(
    _ rule: PolicyDocument.Rule,
    to targets: [PolicyDocument.Target],
    isOwn: Bool = false
  ) {
    let sources = resolver.sources(
      rule.sources.map(\.value),
      postures: conditions(rule.postures)
    )
    let destinations = targets.map { resolver.destination($0.selector.value) }
    var via: [NodeID]?
    if !rule.via.isEmpty {
      via = .union(rule.via.map { resolver.identity($0.value) ?? [] })
    }
    var compiled = AccessRule(
      sources: sources,
      flows: flows(targets, destinations),
      destinations: destinations,
      capabilities: rule.capabilities,
      via: via,
      isOwn: isOwn,
      nodes: []
    )
    compiled.nodes = nodes(of: compiled)
    rules.append(compiled)
    if !rule.capabilities.isEmpty, via == nil { addCompanions(of: compiled, rule, targets) }
  }

  private mutating func nodes(of rule: AccessRule) -> [NodeID] {
    if rule.isOwn {
      let people = Set(rule.sources.nodes.compactMap { resolver.device($0)?.person })
      return people.flatMap { resolver.nodes(of: $0) }.sorted()
    }
    let all: [NodeID] = .union(rule.destinations.map { resolver.nodes(at: $0) })
    guard let via = rule.via else { return all }
    return via.filter { id in
      guard let device = resolver.device(id) else { return false }
      return rule.destinations.contains { destination in
        switch destination {
        case .everything: !device.routes.isEmpty
        case .ranges(let ranges): ranges.contains { AccessRule.isServed($0, by: device) }
        case .internet:
          device.isExitNode
            || AddressRanges.internet.ranges.contains { AccessRule.isServed($0, by: device) }
        case .nodes, .own: false
        }
      }
    }
  }

  /// Openings by protocol, each protocol in the order in which it comes first.
  private func flows(
    _ targets: [PolicyDocument.Target],
    _ destinations: [Destination]
  ) -> [AccessRule.Flow] {
    var order: [Int?] = []
    for flow in targets.flatMap(\.flows) where !order.contains(flow.proto) {
      order.append(flow.proto)
    }
    return order.map { proto in
      var openings: [AccessRule.Opening] = []
      for (target, destination) in zip(targets, destinations) {
        let ports = target.flows.filter { $0.proto == proto }.flatMap(\.ports)
        if !ports.isEmpty {
          openings.append(AccessRule.Opening(destination: destination, ports: ports))
        }
      }
      return AccessRule.Flow(protocols: proto.map { [$0] } ?? [], openings: openings)
    }
  }

  /// What a capability brings along for the other side.
  private static let companions = [
    "tailscale.com/cap/drive": "tailscale.com/cap/drive-sharer",
    "tailscale.com/cap/relay": "tailscale.com/cap/relay-target",
  ]

  static var companionNames: Set<String> { Set(companions.values) }

  private mutating func addCompanions(
    of rule: AccessRule,
    _ written: PolicyDocument.Rule,
    _ targets: [PolicyDocument.Target]
  ) {
    let names = rule.capabilities.keys.sorted().compactMap { Self.companions[$0] }
    guard !names.isEmpty else { return }
    let back =
      written.postures.isEmpty && document.defaultPostures.isEmpty
      ? written.sources.map { resolver.destination($0.value) }
      : [.nodes(rule.sources.nodes)]
    for name in names {
      var companion = AccessRule(
        sources: rule.isOwn ? rule.sources : resolver.sources(targets.map(\.selector.value)),
        flows: [],
        destinations: rule.isOwn ? [.own] : back,
        capabilities: [name: []],
        isOwn: rule.isOwn,
        nodes: []
      )
      companion.nodes = nodes(of: companion)
      rules.append(companion)
    }
  }

  func conditions(_ postures: [Located<String>]) -> [[PostureCondition]] {
    let names = postures.isEmpty ? document.defaultPostures : postures
    return names.compactMap { document.postures[$0.value]?.value }
  }
}

extension PolicyDocument.Rule {
  /// What holds where a policy has no rules.
  static var allowingEverything: PolicyDocument.Rule {
    PolicyDocument.Rule(
      offset: 0,
      isGrant: false,
      sources: [Located(.everything, at: 0)],
      targets: [
        PolicyDocument.Target(
          selector: Located(.everything, at: 0),
          flows: [PolicyDocument.Flow(proto: nil, ports: PolicyPorts.all)]
        )
      ]
    )
  }
}
