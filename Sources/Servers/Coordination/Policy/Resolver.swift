// SPDX-License-Identifier: Apache-2.0

internal import Addressing

/// Addresses that a rule lets in, with the devices behind them.
struct SourceSet: Hashable, Sendable {
  /// As clients read them, one by one.
  var texts: [String] = []
  /// All of them.
  var ranges = AddressRanges()
  /// The devices that have one of them or serve a subnet with one, by number.
  var nodes: [NodeID] = []
  /// The devices that are meant themselves, rather than by an address.
  var own: [NodeID] = []

  func contains(_ node: NodeID) -> Bool { nodes.holds(node) }
}

/// Where a rule leads.
enum Destination: Hashable, Sendable {
  case everything
  /// These devices, at their own addresses.
  case nodes([NodeID])
  /// These addresses, at whoever has them or serves their subnet.
  case ranges([AddressRange])
  /// What is outside, at exit nodes.
  case internet
  /// The other devices of the user who asks.
  case own
}

extension [NodeID] {
  /// Whether a list in order has `node`: O(log n).
  func holds(_ node: NodeID) -> Bool {
    var (low, high) = (0, count)
    while low < high {
      let middle = (low + high) / 2
      if self[middle] < node { low = middle + 1 } else { high = middle }
    }
    return low < count && self[low] == node
  }

  /// In order, each once.
  static func union(_ lists: [[NodeID]]) -> [NodeID] {
    if lists.count == 1 { return lists[0] }
    return Set(lists.joined()).sorted()
  }
}

/// Turns words of a policy into devices and addresses, each word once.
struct Resolver {
  let document: PolicyDocument
  let world: PolicyWorld

  private let devices: [NodeID: PolicyWorld.Device]
  private let byPerson: [UserID: [NodeID]]
  private let byTag: [String: [NodeID]]
  /// Every address of a device, in order.
  private let addresses: [(address: IPAddress, node: NodeID)]
  /// The devices that serve subnets.
  private let routers: [PolicyWorld.Device]
  /// Every subnet that is served, in order.
  private let routes: [IPPrefix]
  private let everyone: [NodeID]
  private var peopleByWord: [String: [UserID]] = [:]
  private var identities: [Selector: [NodeID]] = [:]
  private var setRanges: [String: AddressRanges] = [:]
  private var addressSources: [AddressRange: [NodeID]] = [:]

  init(_ document: PolicyDocument, _ world: PolicyWorld) {
    self.document = document
    self.world = world
    everyone = world.devices.map(\.id)
    devices = Dictionary(world.devices.map { ($0.id, $0) }, uniquingKeysWith: { $1 })
    var (byPerson, byTag): ([UserID: [NodeID]], [String: [NodeID]]) = ([:], [:])
    for device in world.devices {
      if let person = device.person { byPerson[person, default: []].append(device.id) }
      for tag in Set(device.tags) { byTag[tag, default: []].append(device.id) }
    }
    (self.byPerson, self.byTag) = (byPerson, byTag)
    addresses = world.devices.flatMap { device in device.addresses.map { ($0, device.id) } }
      .sorted { $0.0 < $1.0 }
    routers = world.devices.filter { !$0.routes.isEmpty }
    routes = Set(routers.flatMap(\.routes)).sorted()
    for person in world.people {
      let (name, email) = (person.name.lowercased(), person.email.lowercased())
      for word in Set([email, name, name + "@"]) where !word.isEmpty {
        peopleByWord[word, default: []].append(person.id)
      }
    }
  }

  func device(_ id: NodeID) -> PolicyWorld.Device? { devices[id] }

  func nodes(of person: UserID) -> [NodeID] { byPerson[person] ?? [] }

  // MARK: Who is meant

  /// The devices that a word means themselves; nil for a word that means addresses.
  mutating func identity(_ selector: Selector) -> [NodeID]? {
    if let known = identities[selector] { return known }
    let nodes: [NodeID]
    switch selector {
    case .everything: nodes = everyone
    case .user, .usersOf, .group: nodes = people(selector).flatMap { byPerson[$0] ?? [] }.sorted()
    case .tag(let tag): nodes = byTag[tag] ?? []
    case .autogroup(.member): nodes = world.devices.filter { $0.person != nil }.map(\.id)
    case .autogroup(.tagged): nodes = world.devices.filter { !$0.tags.isEmpty }.map(\.id)
    case .autogroup(let group) where group.role != nil:
      nodes = people(selector).flatMap { byPerson[$0] ?? [] }.sorted()
    case .autogroup(.shared), .service, .unknownAutogroup: nodes = []
    default: return nil
    }
    identities[selector] = nodes
    return nodes
  }

  /// The users that a word means.
  func people(_ selector: Selector) -> [UserID] {
    switch selector {
    case .user(let word):
      let people = peopleByWord[word] ?? []
      return people.count == 1 ? people : []
    case .usersOf(let domain):
      return world.people.filter { $0.domain == domain }.map(\.id)
    case .group(let name):
      let named = document.groups[name]?.members.flatMap { people($0.value) } ?? []
      let outer = world.people.filter { $0.groups.contains { "group:" + $0 == name } }.map(\.id)
      return Set(named + outer).sorted()
    case .autogroup(.member): return world.people.map(\.id)
    case .autogroup(let group):
      guard let role = group.role else { return [] }
      // An owner may all that an administrator may.
      return world.people.filter { $0.role == role || (role == .admin && $0.role == .owner) }
        .map(\.id)
    default: return []
    }
  }

  // MARK: Addresses

  /// The addresses that a word spells out; nil for a word that means devices.
  mutating func spelled(_ selector: Selector) -> [AddressRange]? {
    switch selector {
    case .addresses(let range): return [range]
    case .host(let name): return document.hosts[name].map { [$0.value] } ?? []
    case .set(let name): return ranges(ofSet: name).ranges
    case .autogroup(.internet): return AddressRanges.internet.ranges
    default: return nil
    }
  }

  private mutating func ranges(ofSet name: String) -> AddressRanges {
    if let known = setRanges[name] { return known }
    // Sets never lead back to themselves; the checker saw to that.
    var ranges = AddressRanges()
    for step in document.sets[name]?.value ?? [] {
      let part = AddressRanges(spelled(step.selector.value) ?? [])
      ranges =
        step.removes ? ranges.subtracting(part) : AddressRanges(ranges.ranges + part.ranges)
    }
    setRanges[name] = ranges
    return ranges
  }

  /// The devices that have an address of `range` or serve a subnet that overlaps it.
  mutating func nodes(in range: AddressRange) -> [NodeID] {
    if let known = addressSources[range] { return known }
    var found: Set<NodeID> = []
    var (low, high) = (0, addresses.count)
    while low < high {
      let middle = (low + high) / 2
      if addresses[middle].address < range.first { low = middle + 1 } else { high = middle }
    }
    while low < addresses.count, addresses[low].address <= range.last {
      found.insert(addresses[low].node)
      low += 1
    }
    for router in routers where router.routes.contains(where: { AddressRange($0).overlaps(range) })
    {
      found.insert(router.id)
    }
    let nodes = found.sorted()
    addressSources[range] = nodes
    return nodes
  }

  // MARK: Sources and destinations

  /// What words let in, narrowed to devices of these postures where there are any.
  mutating func sources(
    _ selectors: [Selector],
    postures: [[PostureCondition]] = []
  ) -> SourceSet {
    guard postures.isEmpty else { return narrowed(selectors, to: postures) }
    var builder = SourceBuilder()
    for selector in selectors {
      switch selector {
      case .everything: builder.add(everyone, spelled: wildcard())
      case .autogroup(.dangerAll):
        builder.texts.append("*")
        let all = IPAddress.Family.allCases.map { AddressRange(IPPrefix.everything($0)) }
        builder.ranges += all
        builder.nodes.append(everyone)
      default:
        if let nodes = identity(selector) {
          add(devices: nodes, to: &builder)
        } else {
          for range in spelled(selector) ?? [] {
            builder.add(nodes(in: range), spelled: [range])
          }
        }
      }
    }
    return builder.set
  }

  /// Every address of the network, and every subnet that it serves.
  private func wildcard() -> [AddressRange] {
    let strangers = addresses.map(\.address)
      .filter { !AddressRanges.tailnet.contains($0) }
      .map { AddressRange($0) }
    return AddressRanges.tailnet.ranges + routes.map { AddressRange($0) } + strangers
  }

  private mutating func add(devices nodes: [NodeID], to builder: inout SourceBuilder) {
    let own = nodes.flatMap { devices[$0]?.addresses ?? [] }
    builder.texts += own.filter(\.isV4).map(\.description)
    builder.texts += own.filter { !$0.isV4 }.map(\.description)
    let ranges = own.map { AddressRange($0) }
    builder.ranges += ranges
    builder.nodes.append(nodes)
    builder.own.append(nodes)
    let merged = AddressRanges(ranges)
    let behind = routers.filter { router in
      router.routes.contains { merged.overlaps(AddressRange($0)) }
    }
    if !behind.isEmpty { builder.nodes.append(behind.map(\.id)) }
  }

  private mutating func narrowed(
    _ selectors: [Selector],
    to postures: [[PostureCondition]]
  ) -> SourceSet {
    let wide = sources(selectors).nodes
    let fitting = wide.filter { node in
      guard let attributes = devices[node]?.attributes else { return false }
      return postures.contains { $0.allSatisfy { $0.isMet(by: attributes) } }
    }
    var builder = SourceBuilder()
    add(devices: fitting, to: &builder)
    return builder.set
  }

  /// Where a word leads.
  mutating func destination(_ selector: Selector) -> Destination {
    switch selector {
    case .everything: return .everything
    case .autogroup(.own): return .own
    case .autogroup(.internet): return .internet
    default:
      if let nodes = identity(selector) { return .nodes(nodes) }
      return .ranges(spelled(selector) ?? [])
    }
  }

  /// The devices at which a destination is.
  mutating func nodes(at destination: Destination) -> [NodeID] {
    switch destination {
    case .everything: return everyone
    case .nodes(let nodes): return nodes
    case .ranges(let ranges): return .union(ranges.map { nodes(in: $0) })
    case .internet:
      let served = AddressRanges.internet.ranges.flatMap { nodes(in: $0) }
      return .union([world.devices.filter(\.isExitNode).map(\.id), served])
    case .own: return []
    }
  }
}

private struct SourceBuilder {
  var texts: [String] = []
  var ranges: [AddressRange] = []
  var nodes: [[NodeID]] = []
  var own: [[NodeID]] = []

  mutating func add(_ devices: [NodeID], spelled: [AddressRange]) {
    texts += spelled.map(\.text)
    ranges += spelled
    nodes.append(devices)
  }

  var set: SourceSet {
    var seen: Set<String> = []
    return SourceSet(
      texts: texts.filter { seen.insert($0).inserted },
      ranges: AddressRanges(ranges),
      nodes: .union(nodes),
      own: .union(own)
    )
  }
}
