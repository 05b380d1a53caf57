// SPDX-License-Identifier: Apache-2.0

package import Addressing
package import Keys
import Timing

/// A direct path and what is known about it.
package struct PathQuality: Hashable, Sendable {
  /// The packet size that every path carries: 1,280 bytes inside the tunnel, and what it adds.
  package static let safeWireMTU = 1360

  /// Where the packets go.
  package var endpoint: Endpoint
  /// The allocation at a peer relay; nil for a direct path.
  package var virtualNetwork: UInt32?
  /// How long a ping and its pong took.
  package var latency: Duration
  /// The largest packet known to pass.
  package var wireMTU: Int
  /// The discovery key of the peer relay, where it is one.
  package var relayKey: DiscoKey?

  /// A path.
  package init(
    endpoint: Endpoint,
    virtualNetwork: UInt32? = nil,
    latency: Duration,
    wireMTU: Int = Self.safeWireMTU,
    relayKey: DiscoKey? = nil
  ) {
    (self.endpoint, self.virtualNetwork) = (endpoint, virtualNetwork)
    (self.latency, self.wireMTU, self.relayKey) = (latency, wireMTU, relayKey)
  }

  /// How a datagram takes it.
  package var hop: PacketSource {
    virtualNetwork.map { .peerRelay(endpoint, $0) } ?? .direct(endpoint)
  }

  /// Whether it leads to the peer itself.
  package var isDirect: Bool { virtualNetwork == nil }

  /// Whether this path is to be taken rather than `other`.
  ///
  /// Direct beats a peer relay whatever the latency; then the lower latency gives points, in percent,
  /// to which nearness and IPv6 add; a single percent changes nothing.
  package func isBetter(than other: PathQuality?) -> Bool {
    guard let other else { return true }
    if endpoint == other.endpoint, virtualNetwork == other.virtualNetwork {
      return wireMTU > other.wireMTU
    }
    if (virtualNetwork == nil) != (other.virtualNetwork == nil) { return virtualNetwork == nil }
    let (mine, its) = (latency.wholeNanoseconds, other.latency.wholeNanoseconds)
    var points = Int64(0)
    var otherPoints = Int64(0)
    if mine > its, mine > 0 {
      otherPoints = 100 - Self.percentage(its, of: mine)
    } else if its > 0 {
      points = 100 - Self.percentage(mine, of: its)
    }
    points += endpoint.address.pathBonus
    otherPoints += other.endpoint.address.pathBonus
    if points <= 1, otherPoints == 0 { return false }
    return points > otherPoints
  }

  private static func percentage(_ part: Int64, of whole: Int64) -> Int64 {
    let (product, overflow) = part.multipliedReportingOverflow(by: 100)
    return overflow ? part / max(1, whole / 100) : product / whole
  }
}

extension IPAddress {
  /// What the kind of address is worth, in percent of latency.
  fileprivate var pathBonus: Int64 {
    let nearness: Int64 = isLoopback ? 50 : isLinkLocal ? 30 : isPrivate ? 20 : 0
    return nearness + (isV4 ? 0 : 10)
  }
}
