// SPDX-License-Identifier: Apache-2.0

import Addressing
import DERP
import Timing

/// Where the STUN servers are, as far as names had to be looked up.
struct RelayAddresses: Sendable {
  /// What is known of an address.
  enum Answer: Hashable, Sendable {
    case known(Endpoint)
    /// The driver is looking up the name; `isNew` the first time.
    case waiting(name: String, isNew: Bool)
    case none
  }

  private struct Entry: Sendable {
    var addresses: [IPAddress]
    var at: Instant
  }

  private static let lifetime = Duration.seconds(600)
  private static let patience = Duration.seconds(5)
  private static let maximumNames = 256

  private var entries: [String: Entry] = [:]
  private var asked: [String: Instant] = [:]

  init() {}

  /// Where to ask `node` by `family`.
  mutating func endpoint(
    of node: RelayNode,
    _ family: IPAddress.Family,
    at now: Instant
  ) -> Answer {
    guard node.mayAnswerSTUN(family), let port = node.portForSTUN else { return .none }
    let field = family == .v4 ? node.ipv4 : node.ipv6
    for text in [node.stunTestIP, field, node.hostName] {
      if let address = IPAddress(text) { return .known(Endpoint(address, port: port)) }
    }
    if let entry = entries[node.hostName], now - entry.at <= Self.lifetime {
      guard let address = entry.addresses.first(where: { $0.family == family }) else {
        return .none
      }
      return .known(Endpoint(address, port: port))
    }
    let isNew = asked[node.hostName].map { now - $0 > Self.patience } ?? true
    if isNew {
      if asked.count >= Self.maximumNames { asked.removeAll() }
      asked[node.hostName] = now
    }
    return .waiting(name: node.hostName, isNew: isNew)
  }

  /// Takes what the driver found; nothing found is remembered for a short while only.
  mutating func learn(_ name: String, _ addresses: [IPAddress], at now: Instant) {
    asked[name] = nil
    if entries.count >= Self.maximumNames { entries.removeAll() }
    let at = addresses.isEmpty ? now - (Self.lifetime - Self.patience) : now
    entries[name] = Entry(addresses: addresses, at: at)
  }

  /// Forgets everything: another network may answer differently.
  mutating func forget() { self = RelayAddresses() }
}
