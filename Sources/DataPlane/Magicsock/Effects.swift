// SPDX-License-Identifier: Apache-2.0

import Addressing
public import DERP
public import Keys
import Timing

/// What path finding asks its driver to do.
///
/// Append-only for the core; the driver performs it all, then empties and reuses it.
public struct Effects: Sendable {
  /// A datagram to send.
  public struct Send: Hashable, Sendable {
    /// The datagram.
    public var bytes: [UInt8]
    /// Where to.
    public var destination: PacketSource
  }

  /// Times a relay by HTTPS and by ICMP, because no UDP comes back.
  ///
  /// Connect first, untimed; then time `GET /derp/latency-check`. Answer with `httpsProbeFinished`, with
  /// whichever was faster.
  public struct HTTPSProbe: Hashable, Sendable {
    /// Which netcheck asks; goes back with the answer.
    public var netcheck: UInt64
    /// The region that is measured.
    public var region: RegionID
    /// The relay to ask.
    public var node: RelayNode
    /// How long it may take.
    public var timeout: Duration
  }

  /// Asks relays over plain HTTP for an empty page, because no UDP comes back.
  ///
  /// A portal that wants people to sign in answers in their place. Answer with `portalProbeFinished`.
  public struct PortalProbe: Hashable, Sendable {
    /// Which netcheck asks; goes back with the answer.
    public var netcheck: UInt64
    /// The relays to ask.
    public var nodes: [RelayNode]
    /// How long it may take.
    public var timeout: Duration
  }

  /// How a ping that somebody asked for ended.
  public struct PingResult: Hashable, Sendable {
    /// What came of it.
    public enum Outcome: Hashable, Sendable {
      /// A pong, after this time, over this path.
      case pong(over: PacketSource, latency: Duration)
      /// Nothing came back.
      case timedOut
      /// It was not sent: there is no such peer.
      case unknownPeer
      /// It was not sent: the peer's key has expired.
      case expired
      /// It was not sent: the peer speaks plain WireGuard.
      case wireGuardOnly
      /// It was not sent: no endpoint or relay of the peer is known.
      case noPath
      /// It was not sent: larger than UDP carries.
      case tooLarge
    }

    /// What the asker called it.
    public var id: UInt64
    /// Who was pinged.
    public var peer: PeerID
    /// What came of it.
    public var outcome: Outcome
    /// How many bytes its datagram had.
    public var size: Int
  }

  /// Something that happened, for logs, metrics and simulations.
  public enum Trace: Hashable, Sendable {
    /// Why a direct path changed.
    public enum Reason: Hashable, Sendable {
      /// A pong showed a better one, or the first one.
      case pong
      /// Its pings stay unanswered.
      case pingsUnanswered
      /// The host cannot reach it.
      case unreachable
      /// This node moved.
      case networkChanged
      /// It is no longer a candidate.
      case candidateRemoved
      /// The peer was removed.
      case peerRemoved
      /// Nothing was said for so long that it is no longer remembered.
      case asleep
      /// A peer without discovery sent from there.
      case roamed
      /// A peer without discovery is tried there.
      case tried
    }

    /// The path to a peer, direct or through a peer relay, changed; nil stands for none.
    case pathChanged(PeerID, from: PacketSource?, to: PacketSource?, because: Reason)
    /// A look at our own endpoints began.
    case netcheckStarted(full: Bool, because: MagicSocket.RefreshReason)
  }

  /// Datagrams to send.
  public internal(set) var sends: [Send] = []
  /// Where this node may be reached, each time the list changed.
  public internal(set) var endpointsChanged: [[OwnEndpoint]] = []
  /// The home relay, each time it changed.
  public internal(set) var homeRelayChanged: [RegionID?] = []
  /// What the network looks like.
  public internal(set) var netcheckReports: [NetcheckReport] = []
  /// Requests to time.
  public internal(set) var httpsProbes: [HTTPSProbe] = []
  /// Portals to look for.
  public internal(set) var portalProbes: [PortalProbe] = []
  /// Names whose addresses are wanted; answer with `resolved`.
  public internal(set) var resolutions: [String] = []
  /// Pings that ended.
  public internal(set) var pingResults: [PingResult] = []
  /// What a follower wants of its leader.
  public internal(set) var wants: [MagicSocket.Want] = []
  /// Where this node may be reached, each time a look at the network said so, changed or not; for
  /// followers.
  public internal(set) var freshEndpoints: [[OwnEndpoint]] = []
  /// Requests for a network at this node's peer relay; answer with `relayAllocated`.
  package internal(set) var relayRequests: [RelayRequest] = []
  /// What happened.
  public internal(set) var traces: [Trace] = []

  /// Nothing to do.
  public init() {}

  /// Whether there is nothing to do.
  public var isEmpty: Bool {
    sends.isEmpty && endpointsChanged.isEmpty && homeRelayChanged.isEmpty
      && netcheckReports.isEmpty && httpsProbes.isEmpty && resolutions.isEmpty
      && portalProbes.isEmpty
      && pingResults.isEmpty && traces.isEmpty && wants.isEmpty && freshEndpoints.isEmpty
      && relayRequests.isEmpty
  }

  /// Forgets what has been done; keeps the memory.
  public mutating func removeAll() {
    sends.removeAll(keepingCapacity: true)
    endpointsChanged.removeAll(keepingCapacity: true)
    homeRelayChanged.removeAll(keepingCapacity: true)
    netcheckReports.removeAll(keepingCapacity: true)
    httpsProbes.removeAll(keepingCapacity: true)
    portalProbes.removeAll(keepingCapacity: true)
    resolutions.removeAll(keepingCapacity: true)
    pingResults.removeAll(keepingCapacity: true)
    wants.removeAll(keepingCapacity: true)
    freshEndpoints.removeAll(keepingCapacity: true)
    relayRequests.removeAll(keepingCapacity: true)
    traces.removeAll(keepingCapacity: true)
  }

  mutating func send(_ bytes: [UInt8], to destination: PacketSource) {
    sends.append(Send(bytes: bytes, destination: destination))
  }
}
