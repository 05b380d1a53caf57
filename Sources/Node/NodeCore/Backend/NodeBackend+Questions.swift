// SPDX-License-Identifier: Apache-2.0

package import Addressing
package import ControlProtocol
import DERP
import DataPlaneDriver
import HostIO
import JSON
package import Keys
package import LocalAPI
import Magicsock
import Netmap
import NodeConfiguration
import PacketFilter
import PacketPipeline
import PeerRelay
import PortMapping
import PortMappingDriver
import Timing

extension NodeBackend {
  /// How the node is doing; without peers when they are not wanted.
  package func status(includingPeers: Bool) async -> Status {
    let figures = await plane.status()
    let report = StatusReport(
      version: options.version,
      state: backendState,
      authURL: authURL,
      health: health.texts,
      netmap: netmap,
      preferences: preferences,
      nodeKey: nodeKey?.publicKey,
      isControlConnected: isControlConnected,
      hostname: preferences.hostname.isEmpty ? host.shortName : preferences.hostname,
      dataPlane: figures,
      now: MonotonicClock.now(),
      wall: wallClock()
    )
    return report.status(includingPeers: includingPeers)
  }

  /// Everything that happens from now on, preceded by what `mask` wants to know at once.
  package func watch(_ mask: WatchMask) async -> AsyncStream<Notification> {
    let status = mask.contains(.initialStatus) ? await self.status(includingPeers: true) : nil
    let (messages, id) = bus.add(initial(mask, status))
    bus.whenLeft(id) { [weak self] in Task { await self?.removeWatcher(id) } }
    return messages
  }

  private func removeWatcher(_ id: UInt64) { bus.remove(id) }

  private func initial(_ mask: WatchMask, _ status: Status?) -> Notification? {
    let wanted: WatchMask = [
      .initialState, .initialPreferences, .initialNetmap, .initialDriveShares,
      .initialOutgoingFiles, .initialSuggestedExitNode, .initialClientVersion, .initialStatus,
    ]
    guard !mask.isDisjoint(with: wanted) else { return nil }
    var message = Notification()
    if mask.contains(.initialState) {
      message.state = backendState
      if backendState == .needsLogin, !authURL.isEmpty { message.browseToURL = authURL }
    }
    if mask.contains(.initialPreferences) { message.preferences = preferences.withoutPrivateKeys }
    if mask.contains(.initialNetmap), let netmap {
      message.netmap = netmap.localValue
      message.selfChange = netmap.selfNode
    }
    if mask.contains(.initialHealth) { message.health = health.state }
    message.initialStatus = status
    return message
  }

  /// Asks the peer that has an address whether it is there.
  ///
  /// - Throws: `NodeError` when nobody has the address or the kind is not served.
  package func ping(
    _ address: IPAddress,
    kind: LocalAPI.PingKind,
    size: Int
  ) async throws -> PingResult {
    var result = PingResult()
    result.ip = address.description
    guard backendState == .running || backendState == .starting else {
      throw NodeError(
        .wrongState,
        "this node is not connected (\(backendState.name))",
        hint: "Run: martlet up."
      )
    }
    if netmap?.selfNode?.addresses.contains(where: { $0.address == address }) == true {
      result.isLocalIP = true
      result.error = "\(address) is local Tailscale IP"
      return result
    }
    guard let peer = peer(owning: address) else {
      result.error = "no matching peer"
      return result
    }
    result.nodeIP = peer.addresses.first?.address.description ?? ""
    result.nodeName = peer.name.split(separator: ".").first.map(String.init) ?? peer.stableID
    let travel: PacketPipeline.PingKind
    switch kind {
    case .disco: travel = .disco
    case .tsmp: travel = .tsmp
    case .icmp: travel = .icmp
    case .peerAPI: throw NodeError(.unsupported, "pings of the peer API are not served yet")
    }
    switch await plane.ping(PeerID(peer.id), travel, size: size) {
    case .success(let reply):
      result.latencySeconds = reply.latency.inSeconds
      if let network = reply.network {
        result.peerRelay = reply.endpoint?.relayText(network) ?? ""
      } else {
        result.endpoint = reply.endpoint?.description ?? ""
      }
      if let region = reply.region {
        result.derpRegionID = region.rawValue
        result.derpRegionCode = regionName(region)
      }
      result.peerAPIPort = Int(reply.peerAPIPort ?? 0)
    case .failure(let reason): result.error = reason.text
    }
    return result
  }

  /// What this node's peer relay is doing, and for whom.
  package func relaySessions() async -> RelaySessions {
    var answer = RelaySessions()
    guard let status = await plane.peerRelayStatus() else { return answer }
    answer.port = status.port
    answer.sessions = status.sessions.map { session in
      RelaySessions.Session(
        network: session.network,
        first: RelaySessions.Client(session.first),
        second: RelaySessions.Client(session.second)
      )
    }
    return answer
  }

  /// The peer that an address belongs to.
  private func peer(owning address: IPAddress) -> Node? {
    netmap?.node(at: address).flatMap { $0.id == netmap?.selfNode?.id ? nil : $0 }
  }

  /// Measures the network.
  ///
  /// - Throws: `NodeError` when it takes too long.
  package func measureNetwork() async throws -> LocalAPI.NetcheckReport {
    async let offered = portMapper.look()
    guard let found = await plane.netcheck() else {
      throw NodeError(.host, "the network could not be measured in time")
    }
    var report = found.report(at: wallClock())
    let services = await offered
    (report.upnp, report.pmp, report.pcp) = (services.upnp, services.pmp, services.pcp)
    return report
  }

  /// Who is behind an address of the network.
  package func whoIs(_ address: IPAddress) -> WhoIsResponse? {
    if let own = netmap?.selfNode, own.addresses.contains(where: { $0.address == address }) {
      return answer(own, at: address)
    }
    return peer(owning: address).map { answer($0, at: address) }
  }

  /// Who has this key.
  package func whoIs(_ key: NodeKey) -> WhoIsResponse? {
    if let own = netmap?.selfNode, own.key == key { return answer(own, at: nil) }
    return netmap?.peer(with: key).map { answer($0, at: nil) }
  }

  private func answer(_ node: Node, at address: IPAddress?) -> WhoIsResponse {
    let source = address ?? node.addresses.first?.address
    let granted = source.map { capabilities(of: $0) } ?? [:]
    return WhoIsResponse(
      node: node,
      userProfile: netmap?.userProfiles[node.user] ?? UserProfile(),
      capMap: granted.isEmpty ? nil : granted
    )
  }

  /// What applications on this node may do for whoever has `source`.
  private func capabilities(of source: IPAddress) -> [String: [JSONValue]] {
    let compiled = configuration(at: wallClock())
    let own = netmap?.selfNode?.addresses.map(\.address) ?? []
    guard let destination = own.first(where: { $0.family == source.family }) else { return [:] }
    let found = compiled.capabilities.capabilities(from: source, to: destination)
    // Each value was cut out of JSON when the map was read.
    return found.mapValues { values in values.compactMap { try? JSONValue(parsing: $0) } }
  }

  /// The node of that ID.
  package func node(withID id: Int64) -> Node? {
    netmap?.selfNode?.id == id ? netmap?.selfNode : netmap?.peersByID[id]
  }

  /// The user of that ID.
  package func userProfile(withID id: Int64) -> UserProfile? { netmap?.userProfiles[id] }

  /// The relays; nil before there is a netmap.
  package func relayMap() -> DERPMap? { netmap?.derpMap }

  /// The DNS settings of the netmap; nil before there is one.
  package func dnsConfiguration() -> DNSConfig? { netmap?.dnsConfig }

  /// The login in use; empty when it is not complete.
  package func currentProfile() -> LoginProfile {
    var profile = LoginProfile()
    guard let identity = preferences.config, !identity.nodeID.isEmpty else { return profile }
    profile.key = state.profileKey
    profile.id = String(profile.key.drop { $0 != "-" }.dropFirst())
    let login = identity.userProfile.loginName
    profile.name = preferences.profileName.isEmpty ? login : preferences.profileName
    profile.userProfile = identity.userProfile
    profile.nodeID = identity.nodeID
    profile.controlURL = preferences.controlURL
    profile.networkProfile.magicDNSName = netmap?.magicDNSSuffix ?? ""
    profile.networkProfile.domainName = netmap?.domain ?? ""
    return profile
  }
}

extension RelaySessions.Client {
  fileprivate init(_ client: PeerRelayServer.Session.Client) {
    self.init(
      endpoint: client.endpoint,
      key: client.key,
      packets: client.packets,
      bytes: client.bytes
    )
  }
}

extension PingFailure {
  /// Why a ping has no answer, in the words that the field uses.
  fileprivate var text: String {
    switch self {
    case .unknownPeer: "unknown peer"
    case .expired: "the peer's key has expired"
    case .wireGuardOnly: "the peer speaks plain WireGuard, which answers ICMP pings only"
    case .noAddress: "this node and the peer have no addresses of one family"
    case .noPath: "no path to the peer is known"
    case .tooLarge: "the ping is larger than a datagram"
    case .timedOut: "timed out"
    }
  }
}

extension Magicsock.NetcheckReport {
  /// The report as clients are told.
  fileprivate func report(at now: Timestamp) -> LocalAPI.NetcheckReport {
    var report = LocalAPI.NetcheckReport()
    report.now = now
    (report.udp, report.ipv4, report.ipv6) = (udp, ipv4, ipv6)
    (report.ipv4CanSend, report.ipv6CanSend) = (ipv4CanSend, ipv6CanSend)
    report.osHasIPv6 = hostHasIPv6
    (report.icmpv4, report.captivePortal) = (icmpV4, captivePortal)
    report.mappingVariesByDestIP = mappingVariesByDestination
    report.preferredDERP = homeRegion?.rawValue ?? 0
    report.regionLatency = Self.byNumber(latency)
    report.regionV4Latency = Self.byNumber(latencyV4)
    report.regionV6Latency = Self.byNumber(latencyV6)
    (report.globalV4, report.globalV6) = (globalV4, globalV6)
    for sighting in sightings {
      if sighting.endpoint.address.isV4 {
        report.globalV4Counters[sighting.endpoint.description] = sighting.count
      } else {
        report.globalV6Counters[sighting.endpoint.description] = sighting.count
      }
    }
    return report
  }

  private static func byNumber(_ latencies: [RegionID: Duration]) -> [Int: Duration] {
    Dictionary(uniqueKeysWithValues: latencies.map { ($0.key.rawValue, $0.value) })
  }
}
