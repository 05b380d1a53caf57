// SPDX-License-Identifier: Apache-2.0

public import Addressing
public import Keys
import Synchronization
public import Timing

/// One connection of a client, admitted by the relay.
public final class RelayClient: Sendable {
  /// Who came, as told and seen when it was admitted.
  public struct Introduction: Hashable, Sendable {
    /// Who it is.
    public var key: NodeKey
    /// What it told.
    public var info: ClientInfo
    /// Where it comes from.
    public var endpoint: Endpoint?
    /// Whether it proved to be a relay of the same mesh.
    public var isMesh: Bool
    /// Whether the client would rather use another relay of the region.
    public var isNotIdeal: Bool

    /// A client.
    public init(
      _ key: NodeKey,
      _ info: ClientInfo = ClientInfo(),
      from endpoint: Endpoint? = nil,
      isMesh: Bool = false,
      isNotIdeal: Bool = false
    ) {
      (self.key, self.info, self.endpoint) = (key, info, endpoint)
      (self.isMesh, self.isNotIdeal) = (isMesh, isNotIdeal)
    }
  }

  /// Which of the relay's connections this is; later ones have greater numbers.
  public let id: UInt64
  /// Who it is.
  public let key: NodeKey
  /// Where it comes from.
  public let endpoint: Endpoint?
  /// Whether it is a relay of the same mesh.
  public let isMesh: Bool
  /// The version of the protocol that it speaks.
  public let version: Int
  /// What the mesh is told of it: 1 regular, 2 relay, 4 prober, 8 not at its ideal relay.
  public let flags: UInt8
  let arrival: Instant
  let connection: any RelayConnection
  let peers: RelayPeers
  /// Whether others with the same key are connected, so that it matters who spoke last.
  let isContended = Atomic(false)

  init(
    _ introduction: Introduction,
    id: UInt64,
    peers: RelayPeers,
    connection: any RelayConnection,
    at now: Instant
  ) {
    (self.id, self.peers, self.connection, arrival) = (id, peers, connection, now)
    (key, endpoint) = (introduction.key, introduction.endpoint)
    (isMesh, version) = (introduction.isMesh, introduction.info.version)
    var flags: UInt8 = introduction.isMesh ? 2 : introduction.info.isProber ? 4 : 1
    if introduction.isNotIdeal { flags |= 8 }
    self.flags = flags
  }

  /// Appends what waits for this connection to `output`, until that has `limit` bytes or more.
  ///
  /// - Returns: Whether more waits. If not, the connection is told when something does.
  public func takeOutput(
    upTo limit: Int,
    at now: Instant,
    into output: inout [UInt8],
    _ counts: inout RelayCounters
  ) -> Bool {
    peers.withMailbox(of: self) { mailbox in
      mailbox.takeOutput(upTo: limit, at: now, into: &output, &counts)
    } ?? false
  }
}
