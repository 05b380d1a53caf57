// SPDX-License-Identifier: Apache-2.0

package import Addressing
package import Cryptography
package import HostIO
package import PacketPipeline

/// What the data plane did and knows, at one moment.
package struct DataPlaneStatus: Sendable {
  /// What the pipeline knows: peers, paths, endpoints, the last netcheck.
  package var pipeline: PipelineStatus
  /// What fell off between the pipeline and the operating system.
  package var host: HostCounters
  /// What each shard did.
  package var shards: [ShardFigures]
  /// What packets are sealed and opened with.
  package var backend: PacketBackend.Name
  /// What the sockets counted.
  package var sockets: [UDPSocket.Counters]
  /// Where the sockets are bound.
  package var ports: [Endpoint]
}

/// What one shard did.
package struct ShardFigures: Sendable {
  /// How many peers it owns.
  package var peers: Int
  /// What passed through its pipeline and what fell off.
  package var traffic: Counters
  /// What fell off around it.
  package var host: HostCounters
}

/// What fell off between the pipeline and the operating system, and why.
package struct HostCounters: Hashable, Sendable {
  /// Packets whose TUN queue was full.
  package internal(set) var interfaceFull: UInt64 = 0
  /// Packets that the TUN interface refused as malformed.
  package internal(set) var interfaceRefused: UInt64 = 0
  /// Super-packets that the TUN interface refused, and whose packets it took one by one.
  package internal(set) var trainsRefused: UInt64 = 0
  /// Packets for a TUN interface that is down.
  package internal(set) var interfaceDown: UInt64 = 0
  /// Trains whose socket's buffer was full.
  package internal(set) var socketFull: UInt64 = 0
  /// Trains to where the host has no way.
  package internal(set) var unreachable: UInt64 = 0
  /// Trains that the host refused for another reason.
  package internal(set) var sendFailed: UInt64 = 0
  /// Reads from the TUN interface that were no packet.
  package internal(set) var unreadable: UInt64 = 0
  /// Datagrams for relays that were too slow, not reached or not willing.
  package internal(set) var relayQueueDropped: UInt64 = 0
  /// Packets that came through relays faster than they could be handled.
  package internal(set) var relayedDropped: UInt64 = 0
  /// How often a data thread was woken, or woke for a deadline.
  package internal(set) var wakeUps: UInt64 = 0
  /// Trains that came to a shard and were another's.
  package internal(set) var handedOver: UInt64 = 0
  /// Trains and handshakes that the other shard had no room for.
  package internal(set) var handoverDropped: UInt64 = 0
  /// Parts of trains that helpers sealed and opened.
  package internal(set) var partsHelped: UInt64 = 0

  /// Nothing yet.
  package init() {}
}

extension DataPlaneStatus {
  /// What all shards know, of which this is one; what only the first can know stays as it is.
  mutating func merge(_ other: DataPlaneStatus) {
    pipeline.merge(other.pipeline)
    host.merge(other.host)
    shards += other.shards
    sockets += other.sockets
  }
}

extension HostCounters {
  mutating func merge(_ other: HostCounters) {
    interfaceFull &+= other.interfaceFull
    interfaceRefused &+= other.interfaceRefused
    trainsRefused &+= other.trainsRefused
    interfaceDown &+= other.interfaceDown
    socketFull &+= other.socketFull
    unreachable &+= other.unreachable
    sendFailed &+= other.sendFailed
    unreadable &+= other.unreadable
    relayQueueDropped &+= other.relayQueueDropped
    relayedDropped &+= other.relayedDropped
    wakeUps &+= other.wakeUps
    handedOver &+= other.handedOver
    handoverDropped &+= other.handoverDropped
    partsHelped &+= other.partsHelped
  }
}
