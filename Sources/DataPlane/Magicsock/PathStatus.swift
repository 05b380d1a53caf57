// SPDX-License-Identifier: Apache-2.0

public import Addressing
public import DERP
public import Keys
public import Timing

/// How a peer is reached, for people to see.
public struct PathStatus: Hashable, Sendable {
  /// The direct path, or the peer relay that stands for it, if there is one.
  public var direct: Endpoint?
  /// The virtual network at the peer relay, where it is one.
  public var network: UInt32?
  /// Whether a pong confirmed the direct path lately.
  public var isTrusted: Bool
  /// The largest datagram of the tunnel that the path carries, once that is known.
  public var limit: Int?
  /// How long a ping and its pong took on the direct path.
  public var latency: Duration?
  /// The region through which it is reached otherwise.
  public var relay: RegionID?
  /// When a packet last went out.
  public var lastSend: Instant?
  /// When an authentic packet last came in.
  public var lastReceived: Instant?
  /// Whether a packet went out lately, so that the path is kept.
  public var isActive: Bool
  /// Where it might be reached.
  public var candidates: [Endpoint]
}

extension MagicSocket {
  /// How a peer is reached now; nil when there is no such peer.
  public func status(of peer: PeerID, at now: Instant) -> PathStatus? {
    guard let slot = table.slot(of: peer) else { return nil }
    let paths = table.peers[slot]
    return PathStatus(
      direct: paths.best?.endpoint,
      network: paths.best?.virtualNetwork,
      isTrusted: paths.isTrusted(at: now),
      limit: paths.mtu.state == .known ? paths.mtu.limit : nil,
      latency: !paths.isPlain ? paths.best?.latency : nil,
      relay: !paths.isPlain ? relayRegion(of: slot) : nil,
      lastSend: paths.lastSend,
      lastReceived: paths.lastReceived,
      isActive: paths.isActive(at: now),
      candidates: paths.knownEndpoints
    )
  }

  /// What was done and dropped so far.
  public var counters: PathCounters { sealer.counters }

  /// Where this node may be reached, as it was told last.
  public var endpoints: [OwnEndpoint] { ownEndpoints.current }

  /// The home relay; nil until one is chosen.
  public var homeRegion: RegionID? { home.home }

  /// The result of the last netcheck.
  public var report: NetcheckReport? { lastReport }
}
