// SPDX-License-Identifier: Apache-2.0

import DERP
import HTTPTransport
import HostIO
import Keys
import Synchronization
import Timing

/// One client's connection.
final class RelayLink: RelayConnection {
  /// Before the client is admitted its frames are asked for; afterwards they are switched.
  private enum Reading: ~Copyable {
    case introducing(FrameDecoder)
    case switching(RelaySession, RelayEffects)
    case over
  }

  let stream: ByteStream
  private let reading = Mutex(Reading.introducing(FrameDecoder(for: .strangersRelay)))
  private let pumping = Mutex(())
  private let client = Mutex<RelayClient?>(nil)
  private let switchboard: Switchboard
  private let core: RelayCore
  private let limiter = Mutex<RelayRateLimiter?>(nil)
  private let isLimited = Atomic(false)

  /// When a client comes again after a restart: spread, so that they do not come all at once.
  static let reconnectMilliseconds = 500...3000
  /// How long a client tries to come again before it looks for another relay.
  static let tryFor = Duration.seconds(60)
  /// How long a client may take to read the last that it is told.
  static let farewellTimeout = Duration.seconds(2)

  init(_ stream: ByteStream, on core: RelayCore) {
    (self.stream, self.core) = (stream, core)
    switchboard = core.switchboard
  }

  /// Who it is, once admitted.
  var admitted: RelayClient? { client.withLock { $0 } }

  // MARK: Introduction

  /// The next frame of what was received; used until the client is admitted.
  func nextFrame() throws(FrameError) -> Frame? {
    let outcome = reading.withLock { reading -> Result<Frame?, FrameError> in
      guard case .introducing(var decoder) = consume reading else {
        preconditionFailure("frames are asked for after the introduction")
      }
      let outcome = Result { () throws(FrameError) in try decoder.next() }
      reading = .introducing(decoder)
      return outcome
    }
    return try outcome.get()
  }

  /// Takes in what was received before the client is admitted.
  func append(_ bytes: [UInt8]) {
    reading.withLock { reading in
      guard case .introducing(var decoder) = consume reading else {
        preconditionFailure("bytes are added after the introduction")
      }
      decoder.append(bytes)
      reading = .introducing(decoder)
    }
  }

  // MARK: Admitted

  /// Takes the client in; nothing is read yet.
  func begin(
    _ introduction: RelayClient.Introduction,
    welcome: [UInt8]
  ) {
    isLimited.store(!introduction.isMesh, ordering: .relaxed)
    var effects = RelayEffects()
    let client = switchboard.add(introduction, self, at: MonotonicClock.now(), into: &effects)
    // Whoever has its welcome can be reached, and whatever others sent already comes after it: nothing
    // is handed over before it is known whom to ask for it.
    _ = stream.offer(welcome)
    self.client.withLock { $0 = client }
    let limits = core.cacheLimits
    reading.withLock { reading in
      guard case .introducing(let decoder) = consume reading else {
        preconditionFailure("a client is admitted twice")
      }
      reading = .switching(
        RelaySession(client, switchboard, decoder: decoder, cache: limits),
        RelayEffects()
      )
    }
    switchboard.settle(&effects)
    // Somebody may have sent something before it was known whom to ask for it.
    outputWaits()
  }

  /// From now on switches whatever the client sends.
  func start() {
    // What came together with the introduction.
    receive([])
    stream.consume { [weak self] bytes in
      self?.receive(bytes)
    } hasRoom: { [weak self] in
      self?.outputWaits()
    }
  }

  /// Forgets the client; its connection has ended.
  func finish() {
    var effects = RelayEffects()
    reading.withLock { reading in
      if case .switching(var session, let rest) = consume reading {
        effects = rest
        session.end(at: MonotonicClock.now(), into: &effects)
      }
      reading = .over
    }
    switchboard.settle(&effects)
    client.withLock { $0 = nil }
  }

  private func receive(_ bytes: [UInt8]) {
    let now = MonotonicClock.now()
    charge(bytes.count, at: now)
    var rest = bytes
    while let effects = step(rest, at: now) {
      var (settled, hasMore) = effects
      switchboard.settle(&settled)
      guard hasMore else { return }
      rest = []
    }
  }

  /// Stops reading for a while from a client that sent more than it may.
  private func charge(_ bytes: Int, at now: Instant) {
    guard bytes > 0, isLimited.load(ordering: .relaxed), let limit = core.rateLimit else { return }
    let wait = limiter.withLock { limiter in
      var each = limiter ?? RelayRateLimiter(limit, at: now)
      defer { limiter = each }
      return each.charge(bytes, limit, at: now)
    }
    guard let wait else { return }
    stream.pauseReading(for: wait)
    var counts = RelayCounters()
    counts.rateLimitWaits = 1
    switchboard.add(counts)
  }

  /// Switches some frames; nil when there is no session.
  private func step(_ bytes: [UInt8], at now: Instant) -> (RelayEffects, hasMore: Bool)? {
    reading.withLock { reading in
      guard case .switching(var session, var effects) = consume reading else {
        reading = .over
        return nil
      }
      var hasMore = false
      do throws(FrameError) {
        hasMore = try session.receive(
          bytes,
          pausingAfter: RelayCore.batchSize,
          at: now,
          into: &effects
        )
      } catch {
        effects.close.append((self, .violation))
      }
      reading = .switching(session, RelayEffects())
      return (effects, hasMore)
    }
  }

  // MARK: What the switchboard tells

  /// Hands over what waits for the client, as much as its stream takes.
  func outputWaits() {
    guard let client = client.withLock({ $0 }) else { return }
    pumping.withLock { _ in
      let now = MonotonicClock.now()
      var counts = RelayCounters()
      var hasMore = true
      // An empty offer asks whether there is room, and has us told when there is.
      while hasMore, stream.offer([]) {
        var output: [UInt8] = []
        output.reserveCapacity(2048)
        hasMore = client.takeOutput(upTo: RelayCore.writeSize, at: now, into: &output, &counts)
        if !output.isEmpty { _ = stream.offer(output) }
      }
      switchboard.add(counts, from: client)
    }
  }

  func end(because reason: RelayClosing) { stream.abort() }

  /// Tells the client that the relay restarts, and ends the connection.
  ///
  /// Whoever stopped reading is not waited for.
  func dismiss() async {
    let reconnect = Duration.milliseconds(Int.random(in: Self.reconnectMilliseconds))
    let farewell = Frame.restarting(reconnectIn: reconnect, tryFor: Self.tryFor)
    guard stream.offer(farewell.bytes) else { return stream.abort() }
    let deadline = stream.abort(after: Self.farewellTimeout, because: "the relay stopped")
    await stream.close()
    await stream.waitUntilClosed()
    deadline.cancel()
  }
}
