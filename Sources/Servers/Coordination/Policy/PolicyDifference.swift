// SPDX-License-Identifier: Apache-2.0

internal import Addressing
internal import ControlProtocol
package import JSON

/// Which pairs of devices gain or lose access when one policy takes the place of another.
package struct PolicyDifference: Hashable, Sendable {
  /// What one device may send to another.
  package struct Access: Hashable, Sendable {
    /// Who sends.
    package var source: String
    /// To whom.
    package var target: String
    /// What: protocols with ports, capabilities, logins.
    package var what: [String]
  }

  /// How many pairs are looked at; beyond it a difference says that it is not whole.
  package static let maximumPairs = 200_000

  /// Access that is new.
  package private(set) var gained: [Access] = []
  /// Access that is gone.
  package private(set) var lost: [Access] = []
  /// Whether there were more pairs than are looked at.
  package private(set) var isCut = false

  /// What differs between two compilations for one world.
  package init(from old: CompiledPolicy, to new: CompiledPolicy) {
    var pairs: Set<Pair> = []
    for rule in Set(old.rules).symmetricDifference(new.rules) {
      isCut = !Self.add(rule.sources.nodes, rule.nodes, to: &pairs) || isCut
    }
    for rule in Set(old.sshRules).symmetricDifference(new.sshRules) {
      var nodes = rule.nodes
      if rule.leadsToOwn {
        let people = Set(rule.sources.compactMap { new.device($0)?.person })
        nodes += people.flatMap { new.personNodes($0) }
      }
      isCut = !Self.add(rule.sources, nodes, to: &pairs) || isCut
    }
    for pair in pairs.sorted() {
      guard let source = new.device(pair.source), let target = new.device(pair.target) else {
        continue
      }
      let (before, after) = (old.access(source, target), new.access(source, target))
      let (more, less) = (after.subtracting(before), before.subtracting(after))
      if !more.isEmpty {
        gained.append(Access(source: source.name, target: target.name, what: more.sorted()))
      }
      if !less.isEmpty {
        lost.append(Access(source: source.name, target: target.name, what: less.sorted()))
      }
    }
  }

  private struct Pair: Hashable, Comparable {
    var source: NodeID
    var target: NodeID
    static func < (left: Pair, right: Pair) -> Bool {
      (left.source, left.target) < (right.source, right.target)
    }
  }

  private static func add(
    _ sources: [NodeID],
    _ targets: [NodeID],
    to pairs: inout Set<Pair>
  ) -> Bool {
    for source in sources {
      for target in targets where source != target {
        guard pairs.count < maximumPairs else { return false }
        pairs.insert(Pair(source: source, target: target))
      }
    }
    return true
  }

  /// As it is shown to programs.
  package var json: JSONValue {
    func list(_ accesses: [Access]) -> JSONValue {
      .array(
        accesses.map { access in
          [
            "src": .string(access.source), "dst": .string(access.target),
            "access": .array(access.what.map { .string($0) }),
          ]
        }
      )
    }
    return ["gained": list(gained), "lost": list(lost), "cut": .bool(isCut)]
  }
}

extension CompiledPolicy {
  /// What one device may do at another, each in words.
  func access(_ source: PolicyWorld.Device, _ target: PolicyWorld.Device) -> Set<String> {
    var words: Set<String> = []
    let own = Set(source.addresses)
    for rule in filter(of: target.id) {
      let isMeant = rule.srcIPs.contains { text in
        text == "*"
          || AddressRange(text).map { range in own.contains { range.contains($0) } } ?? false
      }
      let serves = source.routes.contains { route in
        rule.srcIPs.contains { AddressRange($0)?.overlaps(AddressRange(route)) ?? false }
      }
      guard isMeant || serves else { continue }
      let proto = rule.ipProto.map(String.init).joined(separator: "+")
      for port in rule.dstPorts {
        let isAll = port.ports.first == 0 && port.ports.last == .max
        let ports =
          isAll
          ? "*"
          : port.ports.first == port.ports.last
            ? "\(port.ports.first)" : "\(port.ports.first)-\(port.ports.last)"
        let isOwn = target.addresses.contains { $0.description == port.ip } || port.ip == "*"
        words.insert((isOwn ? "" : port.ip + " ") + (proto.isEmpty ? ports : "\(proto):\(ports)"))
      }
      for name in rule.capGrant.flatMap(\.capMap.keys) { words.insert(name) }
    }
    let principals = Set(own.map(\.description))
    for rule in sshRules(of: target.id) where !principals.isDisjoint(with: rule.principals) {
      for (user, login) in rule.users where !login.isEmpty {
        words.insert("ssh \(user)" + (rule.action == .check ? " (checked)" : ""))
      }
    }
    return words
  }
}
