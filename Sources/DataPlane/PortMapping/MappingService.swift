// SPDX-License-Identifier: Apache-2.0

package import Addressing

/// A way in which gateways let hosts behind them ask for ports.
package enum MappingService: String, Hashable, Sendable, CaseIterable {
  /// Port Control Protocol (RFC 6887); asked first, for its answers carry what the request drew.
  case pcp
  /// NAT Port Mapping Protocol (RFC 6886).
  case pmp
  /// Universal Plug and Play, Internet Gateway Device 1 or 2.
  case upnp
}

/// Which services a gateway offers; nil where that was not looked for.
package struct MappingServices: Hashable, Sendable {
  /// Whether it answers PCP.
  package var pcp: Bool?
  /// Whether it answers NAT-PMP.
  package var pmp: Bool?
  /// Whether it is a UPnP Internet Gateway Device.
  package var upnp: Bool?

  /// Nothing is known.
  package init() {}

  /// Whether a service answers; nil when that was not looked for.
  package subscript(service: MappingService) -> Bool? {
    get {
      switch service {
      case .pcp: pcp
      case .pmp: pmp
      case .upnp: upnp
      }
    }
    set {
      switch service {
      case .pcp: pcp = newValue
      case .pmp: pmp = newValue
      case .upnp: upnp = newValue
      }
    }
  }
}

/// How this host is attached to a gateway that may map ports.
package struct GatewayAttachment: Hashable, Sendable {
  /// The gateway: the only one whose words count.
  package var gateway: IPAddress
  /// Our address on the gateway's network.
  package var own: IPAddress

  /// An attachment; nil unless both are IPv4 and ours is one that a NAT may stand before.
  ///
  /// A host with a public address needs no mapping, and a provider's router is not to be asked.
  package init?(gateway: IPAddress, own: IPAddress) {
    let isHidden = own.isPrivate || own.isLinkLocal || TailnetRanges.v4.contains(own)
    guard gateway.isV4, own.isV4, isHidden, gateway != own, !gateway.isUnspecified,
      !gateway.isLoopback, !gateway.isMulticast
    else { return nil }
    (self.gateway, self.own) = (gateway, own)
  }
}

/// A port that a gateway forwards to us.
package struct PortMapping: Hashable, Sendable {
  /// By which service it was granted.
  package var service: MappingService
  /// Where the world reaches us, as the gateway says.
  package var external: Endpoint
  /// The port of ours that it leads to.
  package var internalPort: UInt16

  /// Whether the gateway stands behind another NAT, so that the world does not reach this endpoint.
  package var isBehindAnotherNAT: Bool { !external.address.isPublic }
}

extension IPAddress {
  /// Whether the world may route to it, as far as an IPv4 address tells.
  package var isPublic: Bool {
    !isPrivate && !isLinkLocal && !isLoopback && !isMulticast && !isUnspecified
      && !TailnetRanges.contains(self) && !(isV4 && (v4Bits >> 28 == 0xF || v4Bits >> 24 == 0))
  }

  /// Whether a gateway may have it as an address of its own at all.
  var mayBeExternal: Bool {
    isV4 && !isUnspecified && !isLoopback && !isMulticast && !isLinkLocal && v4Bits >> 28 != 0xF
      && v4Bits >> 24 != 0
  }
}
