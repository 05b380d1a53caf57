// SPDX-License-Identifier: Apache-2.0

import Addressing

/// Whether two nodes can talk directly, as theory says.
package enum Expectation: Hashable, Sendable {
  /// They must find a direct path.
  case direct
  /// There is none.
  case relayed
  /// It depends on luck: guessed ports, hairpins that are not looked for.
  case either

  /// What the theory of RFC 4787 says about two hosts, each behind a NAT or none.
  ///
  /// One host reaches the other at the endpoint that it tells, which is the mapping that STUN servers
  /// saw. That succeeds when the filter there lets it in; then the answer must come back.
  package static func between(_ one: NATBehaviour?, _ other: NATBehaviour?) -> Expectation {
    // Whoever is let in by everybody is reached by everybody.
    if [one, other].contains(where: { $0?.portMapping?.lets == true }) { return .direct }
    if reaches(one, other) || reaches(other, one) { return .direct }
    // A router that lies may forward all the same: a clock that stands still, a damaged byte that
    // nobody reads.
    let mayLetIn = [one, other].contains { $0?.portMapping != nil }
    return mayLetIn || hasGuessablePort(one) || hasGuessablePort(other) ? .either : .relayed
  }

  /// Whether `sender` reaches `receiver` at the endpoint it tells, and its answer comes back.
  private static func reaches(_ sender: NATBehaviour?, _ receiver: NATBehaviour?) -> Bool {
    letsIn(receiver, fromAnotherPort: varies(sender), atAnotherMapping: varies(receiver))
      && letsIn(sender, fromAnotherPort: varies(receiver), atAnotherMapping: false)
  }

  /// Whether a filter lets in what comes from the host that was written to: from another port than was
  /// written to, or to another mapping than was written from.
  private static func letsIn(
    _ nat: NATBehaviour?,
    fromAnotherPort: Bool,
    atAnotherMapping: Bool
  ) -> Bool {
    guard let nat else { return true }
    return switch nat.filtering {
    case .endpointIndependent: true
    case .addressDependent: !atAnotherMapping
    case .addressAndPortDependent: !atAnotherMapping && !fromAnotherPort
    }
  }

  private static func varies(_ nat: NATBehaviour?) -> Bool {
    nat.map { $0.mapping != .endpointIndependent } ?? false
  }

  private static func hasGuessablePort(_ nat: NATBehaviour?) -> Bool {
    nat.map { varies($0) && $0.allocation != .random } ?? false
  }
}

extension World {
  /// What theory says about two nodes, as things stand now.
  package func expectation(_ one: Int, _ other: Int) -> Expectation {
    let (a, b) = (internet.hosts[nodes[one].host.index], internet.hosts[nodes[other].host.index])
    guard !internet.cuts.contains([nodes[one].host, nodes[other].host]) else { return .relayed }
    if a.realm == b.realm { return .direct }
    let (over, under) = (routers(above: a.realm), routers(above: b.realm))
    if (over + under).contains(where: \.blocksUDP) { return .relayed }
    let haveV6 = [a, b].allSatisfy { $0.addresses.contains { !$0.isV4 } }
    if haveV6, over.count <= 1, under.count <= 1 { return .direct }
    guard over.count <= 1, under.count <= 1 else { return .either }
    return .between(over.first?.nat.behaviour, under.first?.nat.behaviour)
  }

  /// Whether one of the peer relays is sure to be reached by both of two nodes, as things stand now.
  package func canBeCarried(between one: Int, _ other: Int) -> Bool {
    topology.peerRelays.contains { relay in
      guard relay != one, relay != other, !oracle.isRemoved(relay), !nodes[relay].isAsleep else {
        return false
      }
      let host = internet.hosts[nodes[relay].host.index]
      guard host.realm == .internet, host.isUp else { return false }
      return [one, other].allSatisfy { node in
        let realm = internet.hosts[nodes[node].host.index].realm
        return !routers(above: realm).contains(where: \.blocksUDP)
          && !internet.cuts.contains([nodes[relay].host, nodes[node].host])
      }
    }
  }

  private func routers(above realm: RealmID) -> [Internet.Router] {
    var routers: [Internet.Router] = []
    var realm = realm
    while let router = internet.realms[realm.index].router {
      routers.append(router)
      realm = internet.realms[realm.index].parent ?? .internet
    }
    return routers
  }
}
