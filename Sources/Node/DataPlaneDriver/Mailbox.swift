// SPDX-License-Identifier: Apache-2.0

import Addressing
import DERP
import HostIO
import Keys
import PacketPipeline
import Synchronization
import Timing

/// What the rest of the node has to say to the data thread.
enum Mail: Sendable {
  case apply(PipelineConfiguration)
  case networkChanged(addresses: [IPAddress], isMajor: Bool, isUp: Bool)
  case relayed([RelayedPacket], from: RegionID)
  case relayConnected(RegionID)
  case relayClosed(RegionID, failed: Bool)
  case relayHeard(RegionID)
  case peerGone(NodeKey, from: RegionID)
  case ping(PeerID, PingKind, id: UInt64, size: Int)
  case netcheck(isFull: Bool)
  case resolved(String, [IPAddress])
  case probed(netcheck: UInt64, RegionID, Duration?, IPAddress.Family)
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
/// Everything but relayed packets is few and never dropped; relayed packets are bounded by their
/// bytes, because a relay may deliver faster than the thread works.
final class Mailbox: Sendable {
  /// How many bytes of relayed packets may wait.
  static let maximumRelayedBytes = 4 << 20

  private struct State {
    var mail: [Mail] = []
    var relayedBytes = 0
    var droppedPackets: UInt64 = 0
    var isClosed = false
  }

  private let state = Mutex(State())
  private let signal: WakeSignal

  init(_ signal: WakeSignal) { self.signal = signal }

  /// How many relayed packets did not fit.
  var droppedPackets: UInt64 { state.withLock { $0.droppedPackets } }

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
      defer { (state.mail, state.relayedBytes) = ([], 0) }
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
