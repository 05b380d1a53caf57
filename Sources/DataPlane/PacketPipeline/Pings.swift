// SPDX-License-Identifier: Apache-2.0

import Addressing
import Cryptography
import Keys
import Magicsock
import Packets
import Timing

/// The pings inside the tunnel that wait for an answer.
struct PingTable {
  /// How many may wait; one more makes the oldest forgotten.
  static let maximumWaiting = 64
  /// How long one waits.
  static let patience = Duration.seconds(30)

  private struct Waiting {
    var id: UInt64
    var peer: PeerID
    var kind: PingKind
    var sentAt: Instant
    var echo: ICMPEcho?
  }

  private var entropy: Entropy
  private var waiting: [UInt64: Waiting] = [:]

  init(entropy: Entropy) { self.entropy = entropy }

  var isEmpty: Bool { waiting.isEmpty }

  var nextTimeout: Instant? { waiting.values.map(\.sentAt).min()?.advanced(by: Self.patience) }

  mutating func handleTimeouts(at now: Instant) {
    guard !waiting.isEmpty else { return }
    waiting = waiting.filter { $0.value.sentAt + Self.patience > now }
  }

  /// A message whose pong will be known as ping `id`.
  mutating func tsmp(_ id: UInt64, to peer: PeerID, at now: Instant) -> TSMPMessage {
    let data = entropy.next()
    remember(data, Waiting(id: id, peer: peer, kind: .tsmp, sentAt: now))
    return .ping(data: data)
  }

  /// An echo request whose reply will be known as ping `id`.
  mutating func echo(_ id: UInt64, to peer: PeerID, size: Int, at now: Instant) -> ICMPEcho {
    let data = entropy.next()
    let request = ICMPEcho(
      identifier: UInt16(truncatingIfNeeded: entropy.next()),
      sequence: 1,
      data: Self.bytes(data) + [UInt8](repeating: 0, count: max(0, size - 8))
    )
    remember(data, Waiting(id: id, peer: peer, kind: .icmp, sentAt: now, echo: request))
    return request
  }

  /// The ping that a pong inside the tunnel answers.
  mutating func answered(
    _ data: UInt64,
    by peer: PeerID,
    port: UInt16,
    at now: Instant
  ) -> PingReply? {
    guard let ping = waiting[data], ping.kind == .tsmp, ping.peer == peer else { return nil }
    waiting[data] = nil
    var reply = Self.reply(to: ping, at: now)
    reply.peerAPIPort = port == 0 ? nil : port
    return reply
  }

  /// The ping that an echo reply answers.
  mutating func answered(_ echo: ICMPEcho, by peer: PeerID, at now: Instant) -> PingReply? {
    guard echo.data.count >= 8 else { return nil }
    let data = echo.data.prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    guard let ping = waiting[data], ping.peer == peer, ping.echo?.reply == echo else { return nil }
    waiting[data] = nil
    return Self.reply(to: ping, at: now)
  }

  private mutating func remember(_ data: UInt64, _ ping: Waiting) {
    if waiting.count >= Self.maximumWaiting,
      let oldest = waiting.min(by: { $0.value.sentAt < $1.value.sentAt })
    {
      waiting[oldest.key] = nil
    }
    waiting[data] = ping
  }

  private static func reply(to ping: Waiting, at now: Instant) -> PingReply {
    PingReply(id: ping.id, kind: ping.kind, peer: ping.peer, latency: now - ping.sentAt)
  }

  private static func bytes(_ value: UInt64) -> [UInt8] {
    (0..<8).map { UInt8(truncatingIfNeeded: value >> UInt64(56 - 8 * $0)) }
  }
}
