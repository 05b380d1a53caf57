// SPDX-License-Identifier: Apache-2.0

package import Addressing

/// What a peer relay carried, and what it dropped.
package struct PeerRelayCounters: Hashable, Sendable {
  /// Packets and bytes that came by one family and left by one.
  package struct Volume: Hashable, Sendable {
    /// By which family they came.
    package var from: IPAddress.Family
    /// By which family they left.
    package var to: IPAddress.Family
    /// How many packets.
    package var packets: UInt64 = 0
    /// How many bytes, headers of the relay included.
    package var bytes: UInt64 = 0
  }

  /// What was carried, by families.
  package private(set) var volumes: [Volume] = IPAddress.Family.allCases.flatMap { from in
    IPAddress.Family.allCases.map { Volume(from: from, to: $0) }
  }
  /// Clients that bound as the first of a session.
  package internal(set) var halfBound: UInt64 = 0
  /// Clients that bound when the other one had.
  package internal(set) var bound: UInt64 = 0
  /// Requests that got no session: not reachable yet, or too many.
  package internal(set) var allocationsRefused: UInt64 = 0
  /// Dropped: for a session that is not there, or not complete.
  package internal(set) var unbound: UInt64 = 0
  /// Dropped: from somewhere else than the two clients are.
  package internal(set) var strangers: UInt64 = 0
  /// Dropped: handshakes that did not open.
  package internal(set) var notAuthentic: UInt64 = 0
  /// Dropped: answers that prove nothing.
  package internal(set) var unproven: UInt64 = 0
  /// Dropped: the host did not take it.
  package var notSent: UInt64 = 0
  /// Dropped: what made no sense.
  package var malformed: UInt64 = 0

  /// Nothing yet.
  package init() {}

  mutating func forwarded(_ packets: Int, _ bytes: Int, from: Endpoint, to: Endpoint) {
    let place = (from.address.isV4 ? 0 : 2) + (to.address.isV4 ? 0 : 1)
    volumes[place].packets &+= UInt64(packets)
    volumes[place].bytes &+= UInt64(bytes)
  }
}
