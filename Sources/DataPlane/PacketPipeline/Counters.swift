// SPDX-License-Identifier: Apache-2.0

import Addressing
package import Magicsock
import PacketFilter

/// What passed through the pipeline and what fell off, since it began.
///
/// The names of the samples are those that the original documents, so that existing dashboards work.
package struct Counters: Hashable, Sendable {
  /// Packets and bytes of one kind of path in one direction.
  package struct Volume: Hashable, Sendable {
    /// How many packets.
    package var packets: UInt64 = 0
    /// How many bytes, without the headers around the tunnel.
    package var bytes: UInt64 = 0
  }

  /// One direction, by the kind of path.
  package struct Volumes: Hashable, Sendable {
    /// Direct over IPv4.
    package var directV4 = Volume()
    /// Direct over IPv6.
    package var directV6 = Volume()
    /// Through a peer relay, over IPv4.
    package var peerRelayV4 = Volume()
    /// Through a peer relay, over IPv6.
    package var peerRelayV6 = Volume()
    /// Through a relay.
    package var relay = Volume()

    /// Counts packets that took the path to or from `remote`.
    package mutating func add(packets: Int, bytes: Int, over remote: PacketSource) {
      switch remote {
      case .direct(let endpoint) where endpoint.address.isV4:
        Self.add(packets, bytes, to: &directV4)
      case .direct: Self.add(packets, bytes, to: &directV6)
      case .peerRelay(let endpoint, _) where endpoint.address.isV4:
        Self.add(packets, bytes, to: &peerRelayV4)
      case .peerRelay: Self.add(packets, bytes, to: &peerRelayV6)
      case .relay: Self.add(packets, bytes, to: &relay)
      }
    }

    private static func add(_ packets: Int, _ bytes: Int, to volume: inout Volume) {
      volume.packets &+= UInt64(truncatingIfNeeded: packets)
      volume.bytes &+= UInt64(truncatingIfNeeded: bytes)
    }
  }

  /// Why a packet fell off on the way in.
  package enum InboundDrop: Hashable, Sendable, CaseIterable {
    /// The filter: no rule, or no local network.
    case accessRules
    /// It could not be read.
    case malformed
    /// It goes to a multicast address.
    case multicast
    /// It goes to a link-local address.
    case linkLocal
    /// Its source is not an address of the peer that sent it.
    case foreignSource
    /// It came through a relay from a node that we do not know.
    case unknownPeer
    /// It was no datagram of any protocol that we speak.
    case noise
    /// The tunnel refused it: not authentic, replayed, no session.
    case notAuthentic
    /// A message between nodes that we cannot read.
    case unreadableMessage
    /// A router marked it as congested, and its ends do not understand that.
    case congested
  }

  /// Why a packet fell off on the way out.
  package enum OutboundDrop: Hashable, Sendable, CaseIterable {
    /// No peer has the address.
    case noRoute
    /// There is no path to the peer.
    case noPath
    /// It could not be read.
    case malformed
    /// It goes to a multicast address.
    case multicast
    /// It goes to a link-local address.
    case linkLocal
    /// Its offload header does not fit it.
    case badOffload
    /// A super-packet had more segments than we take.
    case tooManySegments
    /// It is larger than the tunnel.
    case tooLarge
    /// It is a message between nodes or of discovery that the host must not send.
    case notForHost
  }

  /// From peers.
  package var inbound = Volumes()
  /// To peers.
  package var outbound = Volumes()
  /// Fell off on the way in, by reason.
  package private(set) var inboundDrops: [InboundDrop: UInt64] = [:]
  /// Fell off on the way out, by reason.
  package private(set) var outboundDrops: [OutboundDrop: UInt64] = [:]
  /// Super-packets given to the host; against `inbound` it tells how well packets are joined.
  package var deliveries: UInt64 = 0
  /// Peers that were told, changed or taken away.
  package var peersReconfigured: UInt64 = 0
  /// Peers of the present configuration for which there are no places.
  package var peersRefused: UInt64 = 0

  /// No packet yet.
  package init() {}

  /// Counts packets that fell off on the way in.
  package mutating func drop(_ reason: InboundDrop, count: Int = 1) {
    inboundDrops[reason, default: 0] &+= UInt64(truncatingIfNeeded: count)
  }

  /// Counts packets that fell off on the way out.
  package mutating func drop(_ reason: OutboundDrop, count: Int = 1) {
    outboundDrops[reason, default: 0] &+= UInt64(truncatingIfNeeded: count)
  }

  mutating func dropInbound(_ reason: Verdict.Reason) {
    switch reason {
    case .malformed: drop(InboundDrop.malformed)
    case .multicast: drop(InboundDrop.multicast)
    case .linkLocal: drop(InboundDrop.linkLocal)
    case .notLocal, .rules: drop(InboundDrop.accessRules)
    }
  }

  mutating func dropOutbound(_ reason: Verdict.Reason) {
    switch reason {
    case .malformed: drop(OutboundDrop.malformed)
    case .multicast: drop(OutboundDrop.multicast)
    case .linkLocal: drop(OutboundDrop.linkLocal)
    case .notLocal, .rules: drop(OutboundDrop.noRoute)
    }
  }
}

extension Counters {
  /// One number as it is exported.
  package struct Sample: Hashable, Sendable {
    /// The name of the metric.
    package var name: String
    /// The name and value of its only label.
    package var label: (name: String, value: String) { (labelName, labelValue) }
    /// The number.
    package var value: UInt64
    private var labelName: String
    private var labelValue: String

    init(_ name: String, _ labelName: String, _ labelValue: String, _ value: UInt64) {
      (self.name, self.value) = (name, value)
      (self.labelName, self.labelValue) = (labelName, labelValue)
    }
  }

  /// Everything under the names that the original documents, in a fixed order.
  package var samples: [Sample] {
    Self.samples("inbound", inbound) + Self.samples("outbound", outbound)
      + Self.drops("tailscaled_inbound_dropped_packets_total", inboundDropReasons)
      + Self.drops("tailscaled_outbound_dropped_packets_total", outboundDropReasons)
  }

  private static func samples(_ direction: String, _ volumes: Volumes) -> [Sample] {
    let paths = [
      ("derp", volumes.relay), ("direct_ipv4", volumes.directV4), ("direct_ipv6", volumes.directV6),
      ("peer_relay_ipv4", volumes.peerRelayV4), ("peer_relay_ipv6", volumes.peerRelayV6),
    ]
    return paths.map { Sample("tailscaled_\(direction)_bytes_total", "path", $0.0, $0.1.bytes) }
      + paths.map { Sample("tailscaled_\(direction)_packets_total", "path", $0.0, $0.1.packets) }
  }

  private static func drops(_ name: String, _ reasons: [(String, UInt64)]) -> [Sample] {
    reasons.map { Sample(name, "reason", $0.0, $0.1) }
  }

  private func came(_ reasons: InboundDrop...) -> UInt64 {
    reasons.reduce(0) { $0 &+ inboundDrops[$1, default: 0] }
  }

  private func went(_ reasons: OutboundDrop...) -> UInt64 {
    reasons.reduce(0) { $0 &+ outboundDrops[$1, default: 0] }
  }

  private var inboundDropReasons: [(String, UInt64)] {
    [
      ("acl", came(.accessRules)),
      ("error", came(.foreignSource, .unknownPeer, .notAuthentic, .congested)),
      ("link_local_unicast", came(.linkLocal)), ("multicast", came(.multicast)),
      ("unknown_protocol", came(.malformed, .noise, .unreadableMessage)),
    ]
  }

  private var outboundDropReasons: [(String, UInt64)] {
    [
      ("error", went(.noRoute, .noPath, .badOffload, .tooManySegments, .tooLarge)),
      ("link_local_unicast", went(.linkLocal)), ("multicast", went(.multicast)),
      ("unknown_protocol", went(.malformed, .notForHost)),
    ]
  }
}
