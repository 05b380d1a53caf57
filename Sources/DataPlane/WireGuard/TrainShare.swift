// SPDX-License-Identifier: Apache-2.0

public import Cryptography
import Synchronization

/// The packets of one train, sealed or opened by several threads together.
///
/// The owner cuts a train into parts; it takes parts itself, and so does every helper, until none is
/// left. Then it waits for the parts that others took. Nothing is under way when `seal` or `open`
/// returns: order, keys, peers and the end of a tunnel are as they are without helpers, and a helper
/// that comes late finds that all is done. Nothing is allocated.
@safe
public final class TrainShare: @unchecked Sendable {
  /// How many packets one part has.
  static let partLength = 8
  /// Trains of fewer bytes are not worth telling anybody of.
  static let leastBytes = 16 << 10
  /// Helpers are called once there were a few trains more than idle turns, and remembered for some.
  private static let warmth = (train: 2, needed: 4, most: 16)
  /// How often the owner looks for the others' parts before it lets them have its processor.
  private static let looks = 4096

  @safe private struct Sealing {
    var run: SealingRun
    var packets: Range<Int>
    // SAFETY: who has a train sealed keeps its memory where it is until that is done.
    var start: UnsafeMutableRawPointer
    var plaintextCount: Int
    var lastPlaintextCount: Int
  }

  private enum Work {
    case none
    case sealing(Sealing)
    case opening(OpeningRun)
  }

  // SAFETY: written by the owner while no part can be had: before the parts of a train are offered in
  // `offer`, and after all of them are `done`. Whoever took a part reads it until its part is done.
  private var work = Work.none
  /// Which train this is, how many parts it has, and the next to take: 32, 16 and 16 bits.
  ///
  /// One word, so that nobody takes a part of a train that is over.
  private let offer = Atomic<UInt64>(0)
  private let done = Atomic<Int>(0)
  /// A bit for each packet that was found authentic.
  private let authentic = Atomic<UInt64>(0)
  private let helped = Atomic<UInt64>(0)
  /// How much there was to do lately; the owner's.
  private var recent = 0
  private var isTurnBusy = false
  private let call: @Sendable () -> Void
  private let rest: @Sendable () -> Void

  /// A share that nobody helps with yet.
  ///
  /// - Parameters:
  ///   - call: Wakes those helpers that sleep.
  ///   - rest: Lets another thread have the processor.
  public init(call: @escaping @Sendable () -> Void, rest: @escaping @Sendable () -> Void) {
    (self.call, self.rest) = (call, rest)
  }

  // MARK: Helping

  /// Whether there is a part to take.
  public var hasWork: Bool { Self.isOpen(offer.load(ordering: .sequentiallyConsistent)) }

  /// How many parts helpers took.
  public var partsHelped: UInt64 { helped.load(ordering: .relaxed) }

  /// Takes parts until there is none, with an engine and a train of the calling thread's.
  ///
  /// - Returns: Whether there was any.
  public func help(with engine: inout PacketEngine, _ train: inout PacketTrain) -> Bool {
    var hasHelped = false
    while let part = take() {
      perform(part, with: &engine, &train)
      helped.wrappingAdd(1, ordering: .relaxed)
      done.wrappingAdd(1, ordering: .releasing)
      hasHelped = true
    }
    return hasHelped
  }

  // MARK: The owner

  /// Begins a turn of the owner's loop: helpers are called while turns bring trains.
  public func beginTurn() {
    if !isTurnBusy { recent = max(0, recent - 1) }
    isTurnBusy = false
  }

  /// Whether as many bytes are shared.
  static func isWorth(_ bytes: Int) -> Bool { bytes >= leastBytes }

  /// Seals as `SealingRun.seal` does.
  func seal(
    _ run: SealingRun,
    _ packets: Range<Int>,
    at start: UnsafeMutableRawPointer,
    plaintextCount: Int,
    lastPlaintextCount: Int,
    with engine: inout PacketEngine,
    _ train: inout PacketTrain
  ) {
    work = .sealing(
      unsafe Sealing(
        run: run,
        packets: packets,
        start: start,
        plaintextCount: plaintextCount,
        lastPlaintextCount: lastPlaintextCount
      )
    )
    share(packets.count, with: &engine, &train)
  }

  /// Opens as `OpeningRun.open` does.
  func open(
    _ run: inout OpeningRun,
    with engine: inout PacketEngine,
    _ train: inout PacketTrain
  ) {
    authentic.store(0, ordering: .relaxed)
    work = .opening(run)
    share(run.count, with: &engine, &train)
    run.authentic = authentic.load(ordering: .acquiring)
  }

  /// Offers the parts of `count` packets, does what nobody takes, and waits for the rest.
  private func share(
    _ count: Int,
    with engine: inout PacketEngine,
    _ train: inout PacketTrain
  ) {
    let parts = (count + Self.partLength - 1) / Self.partLength
    precondition(parts <= Int(UInt16.max), "a train has few parts")
    done.store(0, ordering: .relaxed)
    let number = (offer.load(ordering: .relaxed) >> 32) &+ 1
    offer.store(number << 32 | UInt64(parts) << 16, ordering: .sequentiallyConsistent)
    warm()
    while let part = take() {
      perform(part, with: &engine, &train)
      done.wrappingAdd(1, ordering: .relaxed)
    }
    var looked = 0
    while done.load(ordering: .acquiring) < parts {
      looked += 1
      if looked % Self.looks == 0 { rest() }
    }
    work = .none
  }

  private func warm() {
    isTurnBusy = true
    recent = min(recent + Self.warmth.train, Self.warmth.most)
    if recent >= Self.warmth.needed { call() }
  }

  // MARK: Parts

  private static func isOpen(_ offer: UInt64) -> Bool { offer & 0xFFFF < offer >> 16 & 0xFFFF }

  private func take() -> Int? {
    var seen = offer.load(ordering: .acquiring)
    while Self.isOpen(seen) {
      let (isTaken, now) = offer.weakCompareExchange(
        expected: seen,
        desired: seen + 1,
        successOrdering: .acquiringAndReleasing,
        failureOrdering: .acquiring
      )
      if isTaken { return Int(seen & 0xFFFF) }
      seen = now
    }
    return nil
  }

  /// Never inlined: what it holds of the train is let go before the part counts as done.
  @inline(never)
  private func perform(
    _ part: Int,
    with engine: inout PacketEngine,
    _ train: inout PacketTrain
  ) {
    let first = part * Self.partLength
    switch work {
    case .none: preconditionFailure("a part belongs to a train")
    case .sealing(let sealing):
      let packets = sealing.packets.dropFirst(first).prefix(Self.partLength)
      let isLast = packets.upperBound == sealing.packets.upperBound
      let stride = sealing.plaintextCount + TransportHeader.overhead
      // SAFETY: packets lie behind each other, all but the last of one size.
      unsafe sealing.run.seal(
        packets.lowerBound..<packets.upperBound,
        at: sealing.start + first * stride,
        plaintextCount: sealing.plaintextCount,
        lastPlaintextCount: isLast ? sealing.lastPlaintextCount : sealing.plaintextCount,
        with: &engine,
        &train
      )
    case .opening(let run):
      let packets = first..<min(first + Self.partLength, run.count)
      authentic.bitwiseOr(run.opened(packets, with: &engine, &train), ordering: .releasing)
    }
  }
}
