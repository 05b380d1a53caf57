// SPDX-License-Identifier: Apache-2.0

public import Addressing

/// What applications on this node may do for whom: the grants that came with the filter.
///
/// - Source: `Documentation/Protocols/packet-filter.md`, grants.
public struct PeerCapabilities: Hashable, Sendable {
  /// One capability, for the peers in one set, on the addresses in another.
  public struct Grant: Hashable, Sendable {
    /// Who may.
    public var sources: AddressSet
    /// Where.
    public var destinations: AddressSet
    /// The name of the capability.
    public var name: String
    /// Its values: JSON texts, kept byte for byte.
    public var values: [[UInt8]]

    /// A grant.
    public init(
      sources: AddressSet,
      destinations: AddressSet,
      name: String,
      values: [[UInt8]] = []
    ) {
      (self.sources, self.destinations) = (sources, destinations)
      (self.name, self.values) = (name, values)
    }
  }

  private let grants: [Grant]

  /// The capabilities that these grants give, in their order.
  public init(_ grants: [Grant] = []) { self.grants = grants }

  /// These grants, as far as they give one capability.
  public func only(_ name: String) -> PeerCapabilities {
    PeerCapabilities(grants.filter { $0.name == name })
  }

  /// Whether anything gives `source` a capability at `destination`.
  public func grants(_ name: String, from source: IPAddress, to destination: IPAddress) -> Bool {
    grants.contains {
      $0.name == name && $0.sources.contains(source) && $0.destinations.contains(destination)
    }
  }

  /// What `source` may do at `destination`: values by name, those of several grants one after another.
  public func capabilities(
    from source: IPAddress,
    to destination: IPAddress
  ) -> [String: [[UInt8]]] {
    grants.reduce(into: [:]) { result, grant in
      guard grant.sources.contains(source), grant.destinations.contains(destination) else { return }
      result[grant.name, default: []] += grant.values
    }
  }
}
