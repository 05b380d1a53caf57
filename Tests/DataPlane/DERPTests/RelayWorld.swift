// SPDX-License-Identifier: Apache-2.0

import Cryptography
import Keys
import Synchronization
import Timing

@testable import DERP

let discoPacket = [0x54, 0x53, 0xF0, 0x9F, 0x92, 0xAC] + [UInt8](repeating: 0, count: 60)

/// Notes what it is told.
final class FakeConnection: RelayConnection {
  let wakes = Mutex(0)
  let ends = Mutex<[RelayClosing]>([])

  func outputWaits() { wakes.withLock { $0 += 1 } }
  func end(because reason: RelayClosing) { ends.withLock { $0.append(reason) } }
}

/// One connection of a client with its reader.
final class FakeClient {
  let connection: FakeConnection
  let relay: RelayWorld
  private(set) var session: RelaySession

  init(_ connection: FakeConnection, _ relay: RelayWorld, _ session: consuming RelaySession) {
    (self.connection, self.relay) = (connection, relay)
    self.session = session
  }

  var key: NodeKey { session.client.key }
  var cachedPeers: Int { session.cachedPeers }
  var wakes: Int { connection.wakes.withLock { $0 } }
  var ends: [RelayClosing] { connection.ends.withLock { $0 } }

  func say(_ frame: Frame) throws { try say(frame.bytes) }

  func say(_ bytes: [UInt8]) throws {
    _ = try session.receive(bytes, at: relay.now, into: &relay.effects)
    relay.settle()
  }

  func send(_ packet: [UInt8], to key: NodeKey) throws {
    try say(.sendPacket(to: key, packet))
  }

  func leave() {
    session.end(at: relay.now, into: &relay.effects)
    relay.settle()
  }

  /// What waits for it.
  func received(limit: Int = .max) throws -> [Frame] {
    var (output, counts) = ([UInt8](), RelayCounters())
    _ = session.client.takeOutput(upTo: limit, at: relay.now, into: &output, &counts)
    relay.board.add(counts)
    return try frames(in: output)
  }
}

/// A relay without sockets.
final class RelayWorld {
  let board: Switchboard
  var effects = RelayEffects()
  var now = Instant(nanoseconds: 1_000_000_000)
  private let limits: PeerLookupCache.Limits

  init(
    duplicates: RelayPeers.DuplicatePolicy = .lastWriter,
    cache limits: PeerLookupCache.Limits = PeerLookupCache.Limits()
  ) {
    board = Switchboard(entropy: Entropy(seed: 5), duplicates: duplicates)
    self.limits = limits
  }

  func add(_ key: NodeKey, isMesh: Bool = false) -> FakeClient {
    let connection = FakeConnection()
    let introduction = RelayClient.Introduction(key, isMesh: isMesh)
    let client = board.add(introduction, connection, at: now, into: &effects)
    settle()
    let decoder = FrameDecoder(for: .strangersRelay)
    return FakeClient(
      connection,
      self,
      RelaySession(client, board, decoder: decoder, cache: limits)
    )
  }

  func settle() { board.settle(&effects) }

  func tick(to time: Instant) {
    now = time
    board.handleTimeouts(at: now, into: &effects)
    settle()
  }
}

func frames(in bytes: [UInt8]) throws -> [Frame] {
  var decoder = FrameDecoder(for: .watcher)
  decoder.append(bytes)
  var frames: [Frame] = []
  while let frame = try decoder.next() { frames.append(frame) }
  return frames
}
