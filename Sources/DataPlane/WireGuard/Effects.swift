// SPDX-License-Identifier: Apache-2.0

public import Keys

/// What a tunnel asks its owner to do, in order.
///
/// The owner keeps one, performs what it holds after each call and empties it.
public struct Effects: Sendable {
  /// A datagram for a peer, over whatever path leads to it.
  public struct Send: Hashable, Sendable {
    /// What the datagram is for.
    public enum Kind: Hashable, Sendable {
      /// An initiation or a response.
      case handshake
      /// An empty packet.
      case keepalive
      /// A packet that waited for a session.
      case data
    }

    /// Who gets it.
    public let peer: PeerID
    /// The datagram.
    public let bytes: [UInt8]
    /// What it is for.
    public let kind: Kind
  }

  /// A datagram that goes back to where the datagram just received came from.
  public struct Reply: Hashable, Sendable {
    /// The datagram.
    public let bytes: [UInt8]
  }

  /// Datagrams to send.
  public var sends: [Send] = []
  /// Cookie replies.
  public var replies: [Reply] = []
  /// Peers that have a new session in use, before anything that waited for it is in `sends`.
  public var sessionsEstablished: [PeerID] = []

  /// Nothing to do.
  public init() {}

  /// Whether there is nothing to do.
  @inlinable public var isEmpty: Bool {
    sends.isEmpty && replies.isEmpty && sessionsEstablished.isEmpty
  }

  /// Forgets what was done; keeps the memory.
  public mutating func removeAll() {
    sends.removeAll(keepingCapacity: true)
    replies.removeAll(keepingCapacity: true)
    sessionsEstablished.removeAll(keepingCapacity: true)
  }
}

/// What became of a received datagram.
public enum Received: Hashable, Sendable {
  /// A padded packet lies in the datagram; who may send from its source is for the caller to ask.
  case packet(PeerID, offset: Int, count: Int)
  /// An empty packet.
  case keepalive(PeerID)
  /// Part of a handshake; nil when it proves nothing about where its sender is (a cookie).
  case handshake(PeerID?)
  /// Nothing: it was counted and forgotten.
  case dropped(DropReason)
}

/// Why a datagram was dropped.
public enum DropReason: Int, Hashable, Sendable, CaseIterable {
  /// Shorter than any message.
  case tooShort
  /// No type of ours, or reserved bytes that are not zero.
  case unknownType
  /// Not the length of its type.
  case wrongLength
  /// Its sender does not know whom it talks to.
  case wrongMAC1
  /// Under load, and its sender must first prove its address.
  case cookieSent
  /// Under load, and its address had its share.
  case rateLimited
  /// No session or handshake has the index that it names.
  case unknownReceiver
  /// A handshake of somebody whom we do not know.
  case unknownPeer
  /// It does not open.
  case notAuthentic
  /// An initiation as old as one that was accepted, or older.
  case oldStamp
  /// An initiation within 20 ms of the last.
  case tooSoon
  /// A session past its 180 seconds.
  case expiredSession
  /// A counter past the last that may be used.
  case exhaustedCounter
  /// A counter that was received before, or is too old to tell.
  case replayed
}

/// What fell off, since the tunnel was made.
public struct TunnelCounters: Hashable, Sendable {
  private var drops = [UInt64](repeating: 0, count: DropReason.allCases.count)
  /// Packets that gave way to newer ones while waiting for a session.
  public internal(set) var stagedOverflow: UInt64 = 0
  /// Packets that waited for a session that did not come, or whose peer went away.
  public internal(set) var stagedAbandoned: UInt64 = 0
  /// Peers that did not fit.
  public internal(set) var peersRefused: UInt64 = 0
  /// Prefixes that did not fit: packets to them go nowhere.
  public internal(set) var prefixesRefused: UInt64 = 0
  /// How often a peer was called because a timer of its ran out, or might have.
  public internal(set) var timeoutsHandled: UInt64 = 0

  /// How many received datagrams were dropped for this reason.
  public subscript(_ reason: DropReason) -> UInt64 { drops[reason.rawValue] }

  mutating func drop(_ reason: DropReason) -> Received {
    drops[reason.rawValue] &+= 1
    return .dropped(reason)
  }
}
