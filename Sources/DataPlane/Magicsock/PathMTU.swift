// SPDX-License-Identifier: Apache-2.0

import Timing

/// How large a datagram passes on the path in use, as pings of that size show.
///
/// Some networks lose large packets without a word. A path is believed at first to carry what the tunnel
/// may send, and asked at once; when no answer comes it is asked for several sizes. Until that is
/// settled large packets take the relay as well; then those that are too large take the relay alone, and
/// their senders are told. Later the heartbeats have the size that is known to pass, so that a path
/// that carries less from now on is noticed, and larger ones are tried again every minute.
struct PathMTU: Hashable, Sendable {
  /// How it stands.
  enum State: Hashable, Sendable {
    /// Nothing was asked.
    case unknown
    /// The largest size is asked for.
    case assumed
    /// Several sizes are asked for, so many times by now; at first only the one that passed before.
    case doubted(rounds: Int)
    /// The largest size that passes is known.
    case known
  }

  /// The sizes that are asked for below the largest, in bytes of UDP payload: IPv4 packets of 576 bytes,
  /// and steps towards what IPv6 demands of every network.
  static let steps = [548, 740, 932, 1060, 1172, 1252]
  /// How long a ping of a size has until it counts as lost.
  static let patience = Duration.seconds(1)
  /// How often several sizes are asked for before none of them passes.
  static let rounds = 3
  /// How often larger ones are tried on a path that carries less than is wanted.
  static let growth = Duration.seconds(60)

  private(set) var state = State.unknown
  /// The largest size that may be sent over the path alone.
  private(set) var limit = Int.max
  /// When the answers are judged.
  private(set) var judgeAt: Instant?
  private var answered = 0
  /// What passed before it was doubted.
  private var held = Int.max
  private var growAt = Instant.distantFuture

  /// What heartbeats are to have; 0 for the least.
  var heartbeatSize: Int { state == .known && limit < .max ? limit : 0 }

  /// The sizes to ask for at first.
  mutating func begin(_ largest: Int, at now: Instant) -> [Int] {
    (state, limit, answered) = (.assumed, largest, 0)
    judgeAt = now + Self.patience
    return [largest]
  }

  /// Asks for all sizes: a large ping stayed unanswered.
  mutating func doubt(_ largest: Int, at now: Instant) -> [Int] {
    let rounds = if case .doubted(let rounds) = state { rounds + 1 } else { 1 }
    if case .doubted = state {} else { (answered, held) = (0, largest) }
    (state, limit) = (.doubted(rounds: rounds), answered)
    judgeAt = now + Self.patience
    return Self.steps.filter { $0 < largest && $0 > answered } + [largest]
  }

  /// Takes note that a ping of `size` came back.
  mutating func note(_ size: Int, of largest: Int, at now: Instant) {
    guard state != .unknown else { return }
    answered = max(answered, size)
    if state == .known {
      if size >= limit { judgeAt = nil }
      if size > limit { limit = min(size, largest) }
    } else if case .doubted = state {
      limit = answered
    }
    if size >= largest {
      settle(largest, at: now)
    } else if state == .doubted(rounds: 0), size >= held {
      settle(held, at: now)
    }
  }

  private mutating func settle(_ size: Int, at now: Instant) {
    (state, limit, judgeAt) = (.known, size, nil)
    growAt = now + Self.growth
  }

  /// The sizes to ask for because time has passed.
  mutating func judge(_ largest: Int, at now: Instant) -> [Int] {
    guard let judgeAt, judgeAt <= now else { return [] }
    switch state {
    case .unknown:
      self.judgeAt = nil
      return []
    case .known:
      // The heartbeat stayed unanswered.
      (held, answered) = (limit, 0)
      (state, limit) = (.doubted(rounds: 0), 0)
      self.judgeAt = now + Self.patience
      return [held]
    case .assumed: return doubt(largest, at: now)
    case .doubted(let rounds):
      // Loss now and then must not make a path look narrow.
      guard rounds >= Self.rounds else { return doubt(largest, at: now) }
      // No less than IPv4 demands is believed: no flow is told to send crumbs because answers were
      // lost. Heartbeats of that size have the path doubted again soon if it is true.
      settle(max(answered, Self.steps[0]), at: now)
      return []
    }
  }

  /// The sizes to ask for with a heartbeat besides its own, whose answer should take about `latency`.
  mutating func beat(_ largest: Int, latency: Duration, at now: Instant) -> [Int] {
    guard state == .known else { return [] }
    if heartbeatSize > 0, judgeAt == nil { judgeAt = now + Self.patience + latency }
    guard limit < largest, growAt <= now else { return [] }
    growAt = now + Self.growth
    return Self.steps.filter { $0 > limit && $0 < largest } + [largest]
  }
}

extension PeerPaths {
  /// Asks how much passes on a path that was just found.
  mutating func proveSize(
    at now: Instant,
    with sealer: inout DiscoSealer,
    into effects: inout Effects
  ) {
    guard sealer.largest > 0, !isAsleep, isTrusted(at: now), mtu.state == .unknown, !isPlain else {
      return
    }
    askSizes(mtu.begin(sealer.largest, at: now), at: now, with: &sealer, into: &effects)
  }

  /// Goes on asking, if it is time.
  mutating func judgeSize(
    at now: Instant,
    with sealer: inout DiscoSealer,
    into effects: inout Effects
  ) {
    guard !isAsleep, let due = mtu.judgeAt, due <= now else { return }
    askSizes(mtu.judge(sealer.largest, at: now), at: now, with: &sealer, into: &effects)
  }

  /// Pings the path in use, with the size that it is known to carry.
  mutating func heartbeat(
    at now: Instant,
    with sealer: inout DiscoSealer,
    into effects: inout Effects
  ) {
    guard let best else { return }
    let sizes = mtu.beat(sealer.largest, latency: best.latency, at: now)
    ping(best.hop, size: mtu.heartbeatSize, at: now, with: &sealer, into: &effects)
    askSizes(sizes, at: now, with: &sealer, into: &effects)
  }

  private mutating func askSizes(
    _ sizes: [Int],
    at now: Instant,
    with sealer: inout DiscoSealer,
    into effects: inout Effects
  ) {
    guard let hop = best?.hop else { return }
    for size in sizes { ping(hop, size: size, at: now, with: &sealer, into: &effects) }
  }
}
