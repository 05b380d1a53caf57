// SPDX-License-Identifier: Apache-2.0

public import Addressing

/// What the host told us about its networks.
public struct HostFacts: Hashable, Sendable {
  /// Its interfaces, by index.
  public var interfaces: [NetworkInterface] = []
  /// Its default routes, the preferred one of each family first.
  public var defaultRoutes: [DefaultRoute] = []

  /// A host without networks.
  public init() {}

  /// The interface of that name.
  public func interface(named name: String) -> NetworkInterface? {
    interfaces.first { $0.name == name }
  }

  /// The preferred default route of a family.
  public func defaultRoute(_ family: IPAddress.Family) -> DefaultRoute? {
    defaultRoutes.first { $0.family == family }
  }

  /// The router by which IPv4 leaves this host, and our address in its network; nil for none.
  ///
  /// - Parameter excluded: A tunnel of our own, which leads to no router.
  /// - Returns: The router, and our address on its link.
  public func gatewayV4(excluding excluded: String) -> (gateway: IPAddress, own: IPAddress)? {
    for route in defaultRoutes where route.family == .v4 {
      guard let gateway = route.gateway,
        let link = interfaces.first(where: { $0.index == route.interfaceIndex }),
        link.isUp, link.name != excluded
      else { continue }
      let addresses = link.addresses.filter { $0.isReachable && $0.prefix.address.isV4 }
      let near = addresses.first {
        $0.prefix.address.masked(to: $0.prefix.length) == gateway.masked(to: $0.prefix.length)
      }
      guard let own = near ?? addresses.first else { continue }
      return (gateway, own.prefix.address)
    }
    return nil
  }

  /// The addresses at which other hosts may reach this one.
  ///
  /// Those of interfaces that are up, without loopback, link-local and multicast, without those
  /// being tested or on their way out, and without the interfaces named in `excluded` (tunnels of
  /// our own). Stable IPv6 addresses come before temporary ones.
  public func reachableAddresses(excluding excluded: Set<String> = []) -> [IPAddress] {
    interfaces.filter { $0.isUp && !$0.isLoopback && !excluded.contains($0.name) }
      .flatMap(\.addresses).filter(\.isReachable)
      .sorted { ($0.isTemporary ? 1 : 0, $0.prefix) < ($1.isTemporary ? 1 : 0, $1.prefix) }
      .map(\.prefix.address)
  }
}

/// An interface of the host.
public struct NetworkInterface: Hashable, Sendable {
  /// The number the kernel knows it by.
  public var index: Int
  /// Its name.
  public var name: String
  /// Whether it is switched on and its link is there.
  public var isUp: Bool
  /// Whether it leads back to the host.
  public var isLoopback: Bool
  /// The largest packet it takes, in bytes.
  public var mtu: Int
  /// Its kind, where it is made of software: `tun`, `wireguard`, `veth`, `bridge`.
  public var kind: String?
  /// Its addresses.
  public var addresses: [InterfaceAddress]

  /// An interface.
  public init(
    index: Int,
    name: String,
    isUp: Bool = true,
    isLoopback: Bool = false,
    mtu: Int = 1500,
    kind: String? = nil,
    addresses: [InterfaceAddress] = []
  ) {
    (self.index, self.name, self.isUp, self.isLoopback) = (index, name, isUp, isLoopback)
    (self.mtu, self.kind, self.addresses) = (mtu, kind, addresses)
  }
}

/// An address of an interface, with the prefix that is on its link.
public struct InterfaceAddress: Hashable, Sendable {
  /// The address and the length of its network.
  public var prefix: IPPrefix
  /// Whether it is not yet, or not any more, to be used: being tested, or found on another host.
  public var isTentative: Bool
  /// Whether it is on its way out.
  public var isDeprecated: Bool
  /// Whether it is a passing IPv6 address (RFC 8981).
  public var isTemporary: Bool

  /// An address.
  public init(
    _ prefix: IPPrefix,
    isTentative: Bool = false,
    isDeprecated: Bool = false,
    isTemporary: Bool = false
  ) {
    self.prefix = prefix
    (self.isTentative, self.isDeprecated) = (isTentative, isDeprecated)
    self.isTemporary = isTemporary
  }

  /// Whether other hosts may reach this host at it.
  public var isReachable: Bool {
    let address = prefix.address
    return !isTentative && !isDeprecated && !address.isLoopback && !address.isLinkLocal
      && !address.isMulticast && !address.isUnspecified
  }
}

/// Where packets go for which no better route exists.
public struct DefaultRoute: Hashable, Sendable {
  /// The family it serves.
  public var family: IPAddress.Family
  /// The interface it leads out of.
  public var interfaceIndex: Int
  /// The router it leads to; nil on links without one.
  public var gateway: IPAddress?
  /// The lower, the more preferred.
  public var metric: Int

  /// A default route.
  public init(
    family: IPAddress.Family,
    interfaceIndex: Int,
    gateway: IPAddress? = nil,
    metric: Int = 0
  ) {
    (self.family, self.interfaceIndex) = (family, interfaceIndex)
    (self.gateway, self.metric) = (gateway, metric)
  }
}
