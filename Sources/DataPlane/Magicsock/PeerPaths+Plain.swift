// SPDX-License-Identifier: Apache-2.0

import Addressing
import Cryptography
import Timing

/// How an endpoint is chosen for a peer that speaks plain WireGuard.
struct PlainChoice: Sendable {
  /// The one that was tried last.
  var tried: Int?
  /// When the peer was last heard.
  var lastHeard: Instant?
}

/// Peers that speak plain WireGuard: no discovery, no relay, and roaming.
extension PeerPaths {
  /// Where to send now: where it was heard, else the known endpoints in turn.
  mutating func plainEndpoint(
    at now: Instant,
    using entropy: inout Entropy,
    into effects: inout Effects
  ) -> Endpoint? {
    lastSend = now
    if let best, now <= trustedUntil { return best.endpoint }
    let endpoints = configuration.endpoints
    let count = endpoints.count
    guard count > 0, !isRemembered(at: now) else { return best?.endpoint }
    let next = plain?.tried.map { ($0 + 1) % count } ?? Int.random(in: 0..<count, using: &entropy)
    self.plain?.tried = next
    let quality = PathQuality(endpoint: endpoints[next], latency: .zero)
    setBest(quality, because: .tried, into: &effects)
    trustedUntil = now + PathTiming.plainChoice
    return quality.endpoint
  }

  /// Follows the peer to where an authentic packet came from.
  mutating func roam(to endpoint: Endpoint, at now: Instant, into effects: inout Effects) {
    guard isPlain else { return }
    plain?.lastHeard = now
    if best?.endpoint != endpoint {
      let quality = PathQuality(endpoint: endpoint, latency: .zero)
      setBest(quality, because: .roamed, into: &effects)
    }
    trustedUntil = now + PathTiming.plainTrust
  }

  private func isRemembered(at now: Instant) -> Bool {
    guard best != nil, let heard = plain?.lastHeard else { return false }
    return now - heard <= PathTiming.plainMemory
  }
}
