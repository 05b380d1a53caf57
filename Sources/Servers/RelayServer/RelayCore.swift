// SPDX-License-Identifier: Apache-2.0

import Cryptography
import DERP
import HTTPTransport
import HostIO
import Keys
import Synchronization
import Timing

/// Drives the relay's switch: one for all connections.
///
/// Everything here is called on event loops and must not wait. What one client sent is switched and
/// handed to the receivers' streams in the same turn of the loop, without a task in between.
final class RelayCore: Sendable {
  /// Frames of one client that are switched before their receivers get a chance to be written to:
  /// half of what a receiver's queue holds.
  static let batchSize = 16
  /// How much is handed to a stream at once.
  static let writeSize = 32 * 1024

  private struct State {
    var relay: RelaySwitch
    var links: [RelaySwitch.ClientID: RelayLink] = [:]
    var keys: [RelaySwitch.ClientID: NodeKey] = [:]
    var effects = RelaySwitch.Effects()
  }

  private let state: Mutex<State>

  init() { state = Mutex(State(relay: RelaySwitch(entropy: .system))) }

  var counters: RelayCounters { state.withLock { $0.relay.counters } }

  /// Takes in an admitted client, whose stream gets `welcome` before anything else.
  func add(_ key: NodeKey, _ link: RelayLink, welcome: [UInt8]) -> RelaySwitch.ClientID {
    perform { state in
      _ = link.stream.offer(welcome)
      let id = state.relay.add(key, at: MonotonicClock.now(), into: &state.effects)
      state.links[id] = link
      state.keys[id] = key
      return id
    }
  }

  func remove(_ id: RelaySwitch.ClientID) {
    perform { state in
      state.relay.remove(id, at: MonotonicClock.now(), into: &state.effects)
      state.links[id] = nil
      state.keys[id] = nil
    }
  }

  /// Ends the connections of everybody who came with `key`; looks at each client once.
  func disconnect(_ key: NodeKey) {
    let links = state.withLock { state in
      state.keys.compactMap { id, other in other == key ? state.links[id] : nil }
    }
    for link in links { link.stream.abort() }
  }

  func receive(_ frames: [Frame], from id: RelaySwitch.ClientID) {
    let now = MonotonicClock.now()
    perform { state in
      for frame in frames {
        state.relay.receive(frame, from: id, at: now, into: &state.effects)
      }
    }
  }

  func handleTimeouts(at now: Instant) {
    perform { state in state.relay.handleTimeouts(at: now, into: &state.effects) }
  }

  /// Appends what waits for a client to `output`.
  func takeOutput(of id: RelaySwitch.ClientID, into output: inout [UInt8]) -> Bool {
    state.withLock { state in
      state.relay.takeOutput(of: id, upTo: Self.writeSize, into: &output)
    }
  }

  /// Tells every client that the relay restarts, and ends the connections.
  func dismissAll() async {
    let links = state.withLock { Array($0.links.values) }
    await withTaskGroup { group in
      for link in links { group.addTask { await link.dismiss() } }
    }
  }

  private func perform<Value: Sendable>(_ body: (inout State) -> Value) -> Value {
    let (value, ready, closed) = state.withLock { state in
      let value = body(&state)
      let ready = state.effects.ready.compactMap { id in state.links[id].map { (id, $0) } }
      let closed = state.effects.close.compactMap { state.links[$0.id] }
      state.effects.removeAll()
      return (value, ready, closed)
    }
    for link in closed { link.stream.abort() }
    for (id, link) in ready { link.pump(id, from: self) }
    return value
  }
}

/// One client's connection.
final class RelayLink: Sendable {
  let stream: ByteStream
  private let decoder = Mutex(FrameDecoder(for: .strangersRelay))
  private let pumping = Mutex(())

  /// When a client comes again after a restart: spread, so that they do not come all at once.
  static let reconnectMilliseconds = 500...3000
  /// How long a client tries to come again before it looks for another relay.
  static let tryFor = Duration.seconds(60)
  /// How long a client may take to read the last that it is told.
  static let farewellTimeout = Duration.seconds(2)

  init(_ stream: ByteStream) { self.stream = stream }

  /// The next frame of what was received; used until the client is admitted.
  func nextFrame() throws(FrameError) -> Frame? {
    let outcome = decoder.withLock { decoder in
      Result { () throws(FrameError) in try decoder.next() }
    }
    return try outcome.get()
  }

  /// Takes in what was received before the client is admitted.
  func append(_ bytes: [UInt8]) { decoder.withLock { $0.append(bytes) } }

  /// From now on switches whatever the client sends.
  func start(_ id: RelaySwitch.ClientID, on core: RelayCore) {
    decoder.withLock { $0.receiver = .relay }
    // What came together with the introduction.
    receive([], id, core)
    stream.consume { [weak core] bytes in
      if let core { self.receive(bytes, id, core) }
    } hasRoom: { [weak core] in
      if let core { self.pump(id, from: core) }
    }
  }

  private func receive(_ bytes: [UInt8], _ id: RelaySwitch.ClientID, _ core: RelayCore) {
    append(bytes)
    var frames: [Frame] = []
    frames.reserveCapacity(RelayCore.batchSize)
    do throws(FrameError) {
      while let frame = try nextFrame() {
        frames.append(frame)
        guard frames.count == RelayCore.batchSize else { continue }
        core.receive(frames, from: id)
        frames.removeAll(keepingCapacity: true)
      }
      if !frames.isEmpty { core.receive(frames, from: id) }
    } catch {
      stream.abort()
    }
  }

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

  /// Hands over what waits for the client, as much as its stream takes.
  func pump(_ id: RelaySwitch.ClientID, from core: RelayCore) {
    pumping.withLock { _ in
      var hasMore = true
      // An empty offer asks whether there is room, and has us told when there is.
      while hasMore, stream.offer([]) {
        var output: [UInt8] = []
        hasMore = core.takeOutput(of: id, into: &output)
        if !output.isEmpty { _ = stream.offer(output) }
      }
    }
  }
}
