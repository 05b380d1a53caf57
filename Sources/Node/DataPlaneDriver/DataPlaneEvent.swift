// SPDX-License-Identifier: Apache-2.0

package import DERP
package import HostIO
package import Keys
package import Magicsock
package import Packets

/// Something that the data plane tells the rest of the node.
package enum DataPlaneEvent: Sendable {
  /// Where this node may be reached.
  case endpointsChanged([OwnEndpoint])
  /// Through which relay this node is reached; nil for none.
  case homeRelayChanged(RegionID?)
  /// What the network looks like.
  case netcheckFinished(NetcheckReport)
  /// A session with a peer came up.
  case sessionEstablished(PeerID)
  /// A peer says that it refused a packet of ours.
  case rejected(TSMPReject, by: PeerID)
  /// What path finding did.
  case pathTrace(Magicsock.Effects.Trace)
  /// A relay is connected.
  case relayUp(RegionID)
  /// A relay was left, or was lost or could not be reached for the reason given; told once until it is
  /// up.
  case relayDown(RegionID, because: String?)
  /// What a relay says is wrong with it; nil when it is well again.
  case relayHealth(RegionID, String?)
  /// What keeps this node from being a peer relay as it was asked; nil when nothing does any more.
  case peerRelayTrouble(String?)
  /// The TUN interface was taken away.
  case interfaceLost(HostError)
}
