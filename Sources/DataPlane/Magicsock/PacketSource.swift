// SPDX-License-Identifier: Apache-2.0

public import Addressing
public import DERP
public import Keys

/// The last hop of a datagram: where it came from, or where it goes.
public enum PacketSource: Hashable, Sendable {
  /// By UDP from or to this endpoint.
  case direct(Endpoint)
  /// By UDP from or to a peer relay at this endpoint, in the virtual network of that number.
  case peerRelay(Endpoint, UInt32)
  /// Through the relay of a region, from or to the holder of this key.
  case relay(RegionID, NodeKey)
}

extension PacketSource {
  /// Where datagrams that take it are sent, if that is by UDP.
  @inlinable public var endpoint: Endpoint? {
    switch self {
    case .direct(let endpoint), .peerRelay(let endpoint, _): endpoint
    case .relay: nil
    }
  }
}

/// Where a packet for a peer goes now.
///
/// Both at once while the direct path is not confirmed: the peer drops what arrives twice. Neither
/// when there is no way at all.
public struct SendPaths: Hashable, Sendable {
  /// The direct path, or the peer relay that stands for it.
  public var direct: Endpoint?
  /// The virtual network at the peer relay; 0 when `direct` is the peer itself.
  public var network: UInt32
  /// Larger datagrams are not sure to pass on the direct path: ask `largePaths`.
  public var limit = UInt32.max
  /// The relay region through which the peer is reached.
  public var relay: RegionID?

  /// Where a packet goes.
  @inlinable public init(direct: Endpoint? = nil, network: UInt32 = 0, relay: RegionID? = nil) {
    (self.direct, self.network, self.relay) = (direct, network, relay)
  }

  /// The direct path, or the peer relay, as a datagram takes it.
  @inlinable public var hop: PacketSource? {
    direct.map { network == 0 ? .direct($0) : .peerRelay($0, network) }
  }

  /// Whether there is no way.
  @inlinable public var isEmpty: Bool { direct == nil && relay == nil }
}
