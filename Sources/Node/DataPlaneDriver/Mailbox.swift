// SPDX-License-Identifier: Apache-2.0

import Addressing
import DERP
import Disco
import HostIO
import Keys
import Magicsock
import PacketPipeline
import Synchronization
import Timing
import WireGuard

/// What the rest of the node has to say to the data thread.
enum Mail: Sendable {
  /// The routes are those of all shards, where there are several.
  case apply(PipelineChange, routes: AllowedIPs?)
  case networkChanged(addresses: [IPAddress], isMajor: Bool, isUp: Bool)
  case relayed([RelayedPacket], from: RegionID)
  case relayConnected(RegionID)
  case relayClosed(RegionID, failed: Bool)
  case relayHeard(RegionID)
  case peerGone(NodeKey, from: RegionID)
  case ping(PeerID, PingKind, id: UInt64, size: Int)
  /// An initiation that the first shard screened for the owner of its sender.
  case initiation(ScreenedInitiation, from: PacketSource)
  /// What another shard wants of the first.
  case wanted(MagicSocket.Want)
  /// What the first shard found out for the others.
  case endpointsFresh([OwnEndpoint])
  case portMapped(Endpoint?)
  /// What this node's peer relay gave to who asked.
  case relayAllocated(RelayAllocation, for: RelayRequest)
  /// The discovery key to go by.
  case discoKey(DiscoPrivateKey)
  case netcheck(isFull: Bool)
  case resolved(String, [IPAddress])
  case probed(netcheck: UInt64, RegionID, Duration?, IPAddress.Family, isByICMP: Bool)
  case portalProbed(netcheck: UInt64, isCaptive: Bool?)
  case status(CheckedContinuation<DataPlaneStatus?, Never>)
  case stop
}

/// A packet that came through a relay.
struct RelayedPacket: Sendable {
  var source: NodeKey
  var bytes: [UInt8]
}

/// Where others leave word for the data thread: a lock held for moments, and a signal to wake it.
///
/// Most of it is few and never dropped; relayed packets are bounded by their bytes and initiations by
/// their number, because they may come faster than the thread works.
final class Mailbox: Sendable {
  /// How many bytes of relayed packets may wait.
  static let maximumRelayedBytes = 4 << 20
  /// How many initiations that another shard screened may wait.
  static let maximumInitiations = 256

  private struct State {
    var mail: [Mail] = []
    var relayedBytes = 0
    var initiations = 0
    var droppedPackets: UInt64 = 0
    var droppedInitiations: UInt64 = 0
    var isClosed = false
  }

  private let state = Mutex(State())
  private let signal: WakeSignal

  init(_ signal: WakeSignal) { self.signal = signal }

  /// How many relayed packets did not fit.
  var droppedPackets: UInt64 { state.withLock { $0.droppedPackets } }

  /// How many initiations did not fit.
  var droppedInitiations: UInt64 { state.withLock { $0.droppedInitiations } }

  /// Leaves word.
  ///
  /// - Returns: Whether the thread will read it; false once it has stopped.
  @discardableResult
  func post(_ mail: Mail) -> Bool {
    let (isOpen, mustWake) = state.withLock { state in
      guard !state.isClosed else { return (false, false) }
      if case .relayed(let packets, _) = mail {
        let bytes = packets.reduce(0) { $0 + $1.bytes.count }
        guard state.relayedBytes + bytes <= Self.maximumRelayedBytes else {
          state.droppedPackets &+= UInt64(packets.count)
          return (true, false)
        }
        state.relayedBytes += bytes
      } else if case .initiation = mail {
        guard state.initiations < Self.maximumInitiations else {
          state.droppedInitiations &+= 1
          return (true, false)
        }
        state.initiations += 1
      }
      state.mail.append(mail)
      return (true, state.mail.count == 1)
    }
    if mustWake { signal.signal() }
    return isOpen
  }

  /// Takes everything out, in order.
  func drain() -> [Mail] {
    state.withLock { state in
      defer { (state.mail, state.relayedBytes, state.initiations) = ([], 0, 0) }
      return state.mail
    }
  }

  /// Takes no more; returns what nobody will read.
  func close() -> [Mail] {
    state.withLock { state in
      state.isClosed = true
      defer { state.mail = [] }
      return state.mail
    }
  }
}
