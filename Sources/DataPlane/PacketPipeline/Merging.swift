// SPDX-License-Identifier: Apache-2.0

import Magicsock

extension PipelineStatus {
  /// Adds what another shard knows; what only the first can know stays as it is.
  package mutating func merge(_ other: PipelineStatus) {
    peers.merge(other.peers) { mine, _ in mine }
    counters.merge(other.counters)
    pathCounters.merge(other.pathCounters)
  }
}

extension Counters {
  /// Adds what another shard counted.
  package mutating func merge(_ other: Counters) {
    inbound.merge(other.inbound)
    outbound.merge(other.outbound)
    for (reason, count) in other.inboundDrops { drop(reason, count: Int(clamping: count)) }
    for (reason, count) in other.outboundDrops { drop(reason, count: Int(clamping: count)) }
    deliveries &+= other.deliveries
    peersReconfigured &+= other.peersReconfigured
    peersRefused &+= other.peersRefused
  }
}

extension Counters.Volumes {
  fileprivate mutating func merge(_ other: Self) {
    directV4.merge(other.directV4)
    directV6.merge(other.directV6)
    relay.merge(other.relay)
  }
}

extension Counters.Volume {
  fileprivate mutating func merge(_ other: Self) {
    packets &+= other.packets
    bytes &+= other.bytes
  }
}
