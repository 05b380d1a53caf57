// SPDX-License-Identifier: Apache-2.0

public import DERP
public import Keys

/// A node that carries packets for others, among them this one.
public struct PeerRelayCandidate: Hashable, Sendable {
  /// Its WireGuard key, by which it is asked.
  public var nodeKey: NodeKey
  /// Its discovery key, as the netmap tells it.
  public var discoKey: DiscoKey
  /// The region of its home relay.
  public var homeRegion: RegionID?
  /// Whether it is this node itself.
  public var isSelf: Bool

  /// A candidate.
  public init(
    nodeKey: NodeKey,
    discoKey: DiscoKey,
    homeRegion: RegionID? = nil,
    isSelf: Bool = false
  ) {
    (self.nodeKey, self.discoKey) = (nodeKey, discoKey)
    (self.homeRegion, self.isSelf) = (homeRegion, isSelf)
  }
}
