// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLine
import Cryptography
import DERP
import HostIO
import JSON
import Keys
import Timing

/// `martlet-bench derp lookup-cache`: what it costs to find the receiver of a packet.
struct LookupCacheCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "lookup-cache",
    abstract: "Looks up receivers from many senders at once, with and without their caches.",
    discussion: """
      Each sender looks up a few receivers in turn. A time is the whole run's time over all \
      look-ups of all senders together: what the senders do at once on several cores counts once. \
      The median of the rounds is told, cached and locked ones having taken turns.
      """
  )

  @Option(help: "How many senders look up at once.")
  var senders = 16
  @Option(help: "How many receivers each of them sends to.")
  var peers = 4
  @Option(help: "How many look-ups each of them makes in a round.")
  var lookups = 2_000_000
  @Option(help: "How many rounds of each kind are made.")
  var rounds = 5

  func validate() throws {
    guard senders > 0, peers > 0, lookups > 0, rounds > 0 else {
      throw ValidationError("all numbers have to be more than zero")
    }
  }

  func run() async throws {
    let world = LookupWorld(receivers: senders * peers)
    var cached: [Double] = []
    var locked: [Double] = []
    for _ in 0..<rounds {
      cached.append(await nanoseconds(world.lookUpCached))
      locked.append(await nanoseconds(world.lookUpLocked))
    }
    let (fast, slow) = (cached.sorted()[rounds / 2], locked.sorted()[rounds / 2])
    report { writer in
      writer.number("senders", senders)
      writer.number("peers", peers)
      writer.number("lookups", senders * lookups)
      writer.number("cachedNanoseconds", fast)
      writer.number("lockedNanoseconds", slow)
      writer.number("ratio", slow / fast)
    }
  }

  /// What one look-up takes when all senders do them at once.
  private func nanoseconds(_ lookUp: @escaping @Sendable ([NodeKey], Int) -> Int) async -> Double {
    let world = LookupWorld.keys(senders * peers)
    let start = MonotonicClock.now()
    let found = await withTaskGroup { group in
      for sender in 0..<senders {
        let keys = Array(world[(sender * peers)..<((sender + 1) * peers)])
        group.addTask { lookUp(keys, lookups) }
      }
      return await group.reduce(0, +)
    }
    precondition(found == senders * lookups, "a look-up found nobody")
    return (MonotonicClock.now() - start).inSeconds * 1e9 / Double(senders * lookups)
  }
}

/// A relay with receivers that are connected.
private final class LookupWorld: Sendable {
  private final class Connection: RelayConnection {
    func outputWaits() {}
    func end(because reason: RelayClosing) {}
  }

  private let switchboard = Switchboard(entropy: Entropy(seed: 1))

  init(receivers: Int) {
    var effects = RelayEffects()
    for key in Self.keys(receivers) {
      let introduction = RelayClient.Introduction(key)
      _ = switchboard.add(introduction, Connection(), at: .origin, into: &effects)
    }
  }

  static func keys(_ count: Int) -> [NodeKey] {
    var entropy = Entropy(seed: 2)
    return (0..<count).map { _ in
      NodeKey(words: (entropy.next(), entropy.next(), entropy.next(), entropy.next()))
    }
  }

  /// As the session of a connection does: what its own cache does not know is asked of the table.
  func lookUpCached(_ keys: [NodeKey], _ count: Int) -> Int {
    var cache = PeerLookupCache()
    var (found, index) = (0, 0)
    for _ in 0..<count {
      let key = keys[index]
      index = index + 1 == keys.count ? 0 : index + 1
      if cache.withPeers(of: key, at: .origin, { _ in }) != nil {
        found += 1
      } else if let peers = switchboard.peers(of: key) {
        cache.insert(peers, at: .origin)
        found += 1
      }
    }
    return found
  }

  /// Asks the table that all share every time.
  func lookUpLocked(_ keys: [NodeKey], _ count: Int) -> Int {
    var (found, index) = (0, 0)
    for _ in 0..<count {
      if switchboard.peers(of: keys[index]) != nil { found += 1 }
      index = index + 1 == keys.count ? 0 : index + 1
    }
    return found
  }
}
