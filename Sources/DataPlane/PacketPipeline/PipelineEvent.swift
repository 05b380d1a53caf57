// SPDX-License-Identifier: Apache-2.0

package import Addressing
package import DERP
package import Keys
package import Magicsock
package import Packets

/// Something that the pipeline noticed and others may want to know.
package enum PipelineEvent: Hashable, Sendable {
  /// A ping that was asked for came back.
  case pong(PingReply)
  /// A ping that was asked for was not sent or not answered.
  case pingFailed(id: UInt64, peer: PeerID, because: PingFailure)
  /// A session with a peer came up.
  case sessionEstablished(PeerID)
  /// A peer says that it refused a packet of ours.
  case rejected(TSMPReject, by: PeerID)
  /// Where this node may be reached.
  case endpointsChanged([OwnEndpoint])
  /// Through which relay this node is reached; nil for none.
  case homeRelayChanged(RegionID?)
  /// What the network looks like.
  case netcheckFinished(NetcheckReport)
  /// A request to time; answer with `httpsProbeFinished`.
  case httpsProbeWanted(Magicsock.Effects.HTTPSProbe)
  /// A portal to look for; answer with `portalProbeFinished`.
  case portalProbeWanted(Magicsock.Effects.PortalProbe)
  /// A name whose addresses are wanted; answer with `resolved`.
  case resolutionWanted(String)
  /// What this shard wants of the first one.
  case wanted(MagicSocket.Want)
  /// Where this node may be reached, as the first shard just found; for the others.
  case endpointsFresh([OwnEndpoint])
  /// A peer told its discovery key; for the first of several shards.
  case discoKeyLearned(PeerID, DiscoKey)
  /// Somebody wants a network at this node's peer relay; answer with `relayAllocated`.
  case relayRequested(RelayRequest)
  /// What path finding did, for logs.
  case pathTrace(Magicsock.Effects.Trace)
}

/// Why a ping has no answer.
package enum PingFailure: Error, Hashable, Sendable {
  /// There is no such peer.
  case unknownPeer
  /// The peer's key has expired.
  case expired
  /// The peer speaks plain WireGuard, which has no such message.
  case wireGuardOnly
  /// This node and the peer have no addresses of one family.
  case noAddress
  /// No endpoint or relay of the peer is known.
  case noPath
  /// It is larger than a datagram.
  case tooLarge
  /// Nothing came back.
  case timedOut
}

/// How a ping travels.
package enum PingKind: Hashable, Sendable {
  /// Discovery messages, outside the tunnel: tells about the path.
  case disco
  /// A message between nodes, inside the tunnel: tells that the tunnel works.
  case tsmp
  /// ICMP echo, inside the tunnel: tells that the peer's host answers.
  case icmp
}

/// The answer to a ping.
package struct PingReply: Hashable, Sendable {
  /// The number that the asker gave it.
  package var id: UInt64
  /// How it travelled.
  package var kind: PingKind
  /// The peer that answered.
  package var peer: PeerID
  /// How long it took.
  package var latency: Duration
  /// The endpoint it came from, if it came directly or through a peer relay.
  package var endpoint: Endpoint?
  /// The virtual network at the peer relay that it came through, if there was one.
  package var network: UInt32?
  /// The relay region it came through, if it was relayed.
  package var region: RegionID?
  /// The port of the peer's API, where it was told and is open.
  package var peerAPIPort: UInt16?
}
