// SPDX-License-Identifier: Apache-2.0

import Cryptography
import DERP
import HTTPTransport
import HostIO
import Keys
import Synchronization
import Timing

/// Drives the relay's switchboard: one for all connections.
///
/// Everything here is called on event loops and must not wait. What one client sent is switched and
/// handed to the receivers' streams in the same turn of the loop, without a task in between.
final class RelayCore: Sendable {
  /// Frames of one client that are switched before their receivers get a chance to be written to:
  /// half of what a receiver's queue holds.
  static let batchSize = 16
  /// How much is handed to a stream at once.
  static let writeSize = 32 * 1024

  let switchboard: Switchboard
  let cacheLimits: PeerLookupCache.Limits
  /// What one client may send; zero bytes a second for as much as it likes.
  private let bytesPerSecond = Atomic(0)
  private let burst = Atomic(0)
  private let links = Mutex<[ObjectIdentifier: RelayLink]>([:])

  init(_ options: RelayOptions) {
    switchboard = Switchboard(entropy: .system, duplicates: options.duplicates)
    cacheLimits = options.peerCache
    limit(to: options.rateLimit)
  }

  var counters: RelayCounters { switchboard.counters }

  /// How much one client may send.
  var rateLimit: RelayRateLimit? {
    RelayRateLimit(
      bytesPerSecond: bytesPerSecond.load(ordering: .relaxed),
      burst: burst.load(ordering: .relaxed)
    )
  }

  /// Changes how much one client may send; counts at once, for those who are here as well.
  func limit(to limit: RelayRateLimit?) {
    burst.store(limit?.burst ?? 0, ordering: .relaxed)
    bytesPerSecond.store(limit?.bytesPerSecond ?? 0, ordering: .relaxed)
  }

  /// The connections of clients, with what each of them is.
  var connections: [RelayLink] { links.withLock { Array($0.values) } }

  /// Takes in an admitted client, whose stream gets `welcome` before anything else.
  func add(_ introduction: RelayClient.Introduction, _ link: RelayLink, welcome: [UInt8]) {
    links.withLock { $0[ObjectIdentifier(link)] = link }
    link.begin(introduction, welcome: welcome)
  }

  func remove(_ link: RelayLink) {
    links.withLock { $0[ObjectIdentifier(link)] = nil }
    link.finish()
  }

  /// Ends the connections of everybody who came with `key`.
  func disconnect(_ key: NodeKey) {
    var effects = RelayEffects()
    switchboard.closeConnections(of: key, into: &effects)
    switchboard.settle(&effects)
  }

  func handleTimeouts(at now: Instant) {
    var effects = RelayEffects()
    switchboard.handleTimeouts(at: now, into: &effects)
    switchboard.settle(&effects)
  }

  /// Tells every client that the relay restarts, and ends the connections.
  func dismissAll() async {
    let links = links.withLock { Array($0.values) }
    await withTaskGroup { group in
      for link in links { group.addTask { await link.dismiss() } }
    }
  }
}
