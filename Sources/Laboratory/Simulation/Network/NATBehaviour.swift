// SPDX-License-Identifier: Apache-2.0

import Timing

/// How a NAT behaves, in the words of RFC 4787.
package struct NATBehaviour: Hashable, Sendable {
  /// On what of the other end a mapping or a filter depends (§§4.1, 5).
  package enum Dependence: Int, Hashable, Sendable, CaseIterable {
    case endpointIndependent
    case addressDependent
    case addressAndPortDependent
  }

  /// How the outer port of a new mapping is chosen (§4.2).
  package enum PortAllocation: Hashable, Sendable, CaseIterable {
    /// The inner one, where it is free.
    case preserving
    /// The next one.
    case sequential
    /// Any.
    case random
  }

  /// When an inner endpoint gets another outer port.
  package var mapping: Dependence
  /// Who may send to a mapping.
  package var filtering: Dependence
  /// Which port a mapping gets.
  package var allocation: PortAllocation
  /// How long a mapping lives without traffic (§4.3).
  package var expiry: Duration
  /// Whether traffic from outside keeps a mapping alive, too.
  package var isRefreshedInbound: Bool
  /// Whether two hosts inside reach each other by their outer endpoints (§6).
  package var hairpins: Bool
  /// What it offers to hosts that ask for ports; nil for nothing.
  package var portMapping: PortMappingBehaviour?

  /// A NAT; without further arguments with the values most routers have.
  package init(
    mapping: Dependence,
    filtering: Dependence,
    allocation: PortAllocation = .preserving,
    expiry: Duration = .seconds(120),
    isRefreshedInbound: Bool = true,
    hairpins: Bool = false,
    portMapping: PortMappingBehaviour? = nil
  ) {
    (self.mapping, self.filtering, self.allocation) = (mapping, filtering, allocation)
    (self.expiry, self.isRefreshedInbound, self.hairpins) = (expiry, isRefreshedInbound, hairpins)
    self.portMapping = portMapping
  }

  /// Lets in everybody once something went out: a full cone.
  package static let open = NATBehaviour(
    mapping: .endpointIndependent,
    filtering: .endpointIndependent
  )
  /// Lets in whose address one has sent to: a restricted cone.
  package static let restricted = NATBehaviour(
    mapping: .endpointIndependent,
    filtering: .addressDependent
  )
  /// Keeps ports and lets in whom one has sent to: a port-restricted cone, the usual home router.
  package static let easy = NATBehaviour(
    mapping: .endpointIndependent,
    filtering: .addressAndPortDependent
  )
  /// Another port for every other end, but its filter looks at addresses only.
  package static let halfHard = NATBehaviour(
    mapping: .addressAndPortDependent,
    filtering: .addressDependent,
    allocation: .random
  )
  /// Another port for every other end: a symmetric NAT.
  package static let hard = NATBehaviour(
    mapping: .addressAndPortDependent,
    filtering: .addressAndPortDependent,
    allocation: .random
  )

  /// The kinds with a name, by which tables call them.
  package static let named: [(name: String, behaviour: NATBehaviour)] = [
    ("open", .open), ("restricted", .restricted), ("easy", .easy), ("half hard", .halfHard),
    ("hard", .hard),
  ]
}
