// SPDX-License-Identifier: Apache-2.0

public import Addressing

/// What we ask of the host so that packets of the network reach the tunnel: addresses and routes.
public struct RouterSettings: Hashable, Sendable {
  /// The MTU that every path carries, and IPv6 demands at least.
  public static let defaultMTU = 1280
  /// The name of the interface when nothing else is asked.
  public static let defaultInterfaceName = "martlet0"

  /// The TUN interface, which exists already.
  public var interfaceName = defaultInterfaceName
  /// This node's addresses on the network.
  public var addresses: [IPPrefix] = []
  /// The largest packet that the interface takes, in bytes.
  public var mtu = defaultMTU
  /// The prefixes that lead into the tunnel.
  public var routes: [IPPrefix] = []
  /// The numbers that our routes and rules carry.
  public var ground = HostGround()

  /// Nothing asked but an interface that is up.
  public init() {}
}
