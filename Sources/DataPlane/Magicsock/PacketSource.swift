// SPDX-License-Identifier: Apache-2.0

public import Addressing
public import DERP
public import Keys

/// The last hop of a datagram: where it came from, or where it goes.
public enum PacketSource: Hashable, Sendable {
  /// By UDP from or to this endpoint.
  case direct(Endpoint)
  /// Through the relay of a region, from or to the holder of this key.
  case relay(RegionID, NodeKey)
}

/// Where a packet for a peer goes now.
///
/// Both at once while the direct path is not confirmed: the peer drops what arrives twice. Neither
/// when there is no way at all.
public struct SendPaths: Hashable, Sendable {
  /// The direct path.
  public var direct: Endpoint?
  /// The relay region through which the peer is reached.
  public var relay: RegionID?

  /// Where a packet goes.
  @inlinable public init(direct: Endpoint? = nil, relay: RegionID? = nil) {
    (self.direct, self.relay) = (direct, relay)
  }

  /// Whether there is no way.
  @inlinable public var isEmpty: Bool { direct == nil && relay == nil }
}
