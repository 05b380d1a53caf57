// SPDX-License-Identifier: Apache-2.0

package import Addressing
package import ControlProtocol
internal import Timing

/// What the operator decides about a network.
package struct TailnetOptions: Sendable {
  /// The domain below which nodes have their names; without dots at its ends.
  package var domain: String
  /// Where IPv4 addresses are taken from.
  package var ipv4Prefix: IPPrefix
  /// Where IPv6 addresses are taken from.
  package var ipv6Prefix: IPPrefix
  /// Where clients find us, without a slash at the end: what login pages are built from.
  package var url: String
  /// The relays that nodes are told.
  package var relayMap: DERPMap
  /// How long a person's node may stay without logging in again; none for ever.
  package var keyLifetime: Duration?
  /// How long an ephemeral node may be away before it is forgotten.
  package var ephemeralTimeout: Duration
  /// How long a node may be gone before others are told that it is offline.
  package var offlineGrace: Duration
  /// How long an address rests before it is given again.
  package var addressRest: Duration
  /// Whether a node may talk to others only after somebody approved it.
  package var needsApproval: Bool
  /// How long a credential of the API works when nobody uses it; zero for ever.
  package var credentialIdle: Duration
  /// How often routers that share a subnet are asked whether they live; zero for never.
  package var routerProbe: Duration
  /// What is decided about names.
  package var names: NameOptions

  /// Options with everything but the address of the server at its default.
  package init(
    url: String,
    domain: String = "tailnet.internal",
    ipv4Prefix: IPPrefix = TailnetRanges.v4,
    ipv6Prefix: IPPrefix = TailnetRanges.v6,
    relayMap: DERPMap = DERPMap(),
    keyLifetime: Duration? = nil,
    ephemeralTimeout: Duration = .seconds(30 * 60),
    offlineGrace: Duration = .seconds(10),
    addressRest: Duration = AddressAllocation.defaultRest,
    needsApproval: Bool = false,
    credentialIdle: Duration = .seconds(30 * 86_400),
    routerProbe: Duration = .seconds(10),
    names: NameOptions = NameOptions()
  ) {
    self.url = url
    self.domain = domain
    self.ipv4Prefix = ipv4Prefix
    self.ipv6Prefix = ipv6Prefix
    self.relayMap = relayMap
    self.keyLifetime = keyLifetime
    self.ephemeralTimeout = ephemeralTimeout
    self.offlineGrace = offlineGrace
    self.addressRest = addressRest
    self.needsApproval = needsApproval
    self.credentialIdle = credentialIdle
    self.routerProbe = routerProbe
    self.names = names
  }

  /// The oldest version of the control protocol that we speak with a node.
  package static let minimumCapabilityVersion = 113
}
