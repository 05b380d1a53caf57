// SPDX-License-Identifier: Apache-2.0

import Cryptography
public import Timing

/// Datagrams that arrive together are opened together, and end as if each had come alone.
extension Tunnel {
  /// How many packets are worked on in one go: what they take stays in the nearest cache.
  public static let trainLength = 16
  /// The most packets that are worked on in one go.
  public static let longestTrain = OpeningRun.maximumCount

  /// How many packets are worked on in one go by this tunnel: more where helpers take their part.
  public var trainLength: Int { share == nil ? Self.trainLength : Self.longestTrain }

  /// Takes the transport messages at the front of what was received in one go, and opens them in place.
  ///
  /// It stops before the first datagram that is no transport message, and after `trainLength` of them.
  /// Allocates nothing, unless a handshake is completed or begun.
  ///
  /// - Parameters:
  ///   - datagrams: Datagrams behind each other; what lies in them afterwards is told by the results.
  ///   - segmentSize: The size of each but the last.
  ///   - now: Now.
  ///   - wall: Now on the wall clock.
  ///   - effects: Receives what to send in return.
  ///   - results: Receives what became of each, in order.
  /// - Returns: How many were taken; 0 when the first one is for `receive(_:from:at:timestamp:into:)`.
  public mutating func receive(
    train datagrams: UnsafeMutableRawBufferPointer,
    segmentSize: Int,
    at now: Instant,
    timestamp wall: Timestamp,
    into effects: inout Effects,
    results: inout [Received]
  ) -> Int {
    var taken = 0
    let moment = Moment(now: now, wall: wall)
    let length = trainLength
    while taken < length {
      // SAFETY: the datagrams are handed through.
      let rest = unsafe Self.rest(datagrams, from: taken, segmentSize)
      let count = unsafe receiveRun(
        rest,
        segmentSize: segmentSize,
        most: length - taken,
        at: moment,
        into: &effects
      ) { results.append($0) }
      guard count > 0 else { break }
      taken += count
    }
    return taken
  }

  /// Takes the transport messages of one session at the front of `datagrams`.
  mutating func receiveRun(
    _ datagrams: UnsafeMutableRawBufferPointer,
    segmentSize: Int,
    most: Int,
    at moment: Moment,
    into effects: inout Effects,
    _ body: (Received) -> Void
  ) -> Int {
    let leading = unsafe Self.leading(datagrams, segmentSize, most)
    guard let receiver = leading.receiver else { return 0 }
    // SAFETY: the datagrams are handed through.
    guard
      var run = unsafe beginOpening(
        datagrams,
        segmentSize: segmentSize,
        count: leading.count,
        from: receiver,
        at: moment.now
      )
    else {
      for _ in 0..<leading.count { body(counters.drop(.unknownReceiver)) }
      return leading.count
    }
    if let share, TrainShare.isWorth(leading.count * segmentSize) {
      share.open(&run, with: &engine, &train)
    } else {
      run.open(with: &engine, &train)
    }
    finish(run, at: moment, into: &effects, body)
    return leading.count
  }

  /// Begins to open datagrams of one session.
  ///
  /// - Parameters:
  ///   - datagrams: Transport messages behind each other; they stay until the run is finished.
  ///   - segmentSize: The size of each but the last.
  ///   - count: How many; at most `OpeningRun.maximumCount`.
  ///   - receiver: The index that all of them name.
  ///   - now: Now.
  /// - Returns: What any thread may open; nil when nobody has the index that they name.
  public func beginOpening(
    _ datagrams: UnsafeMutableRawBufferPointer,
    segmentSize: Int,
    count: Int,
    from receiver: UInt32,
    at now: Instant
  ) -> OpeningRun? {
    precondition(count <= OpeningRun.maximumCount, "a run has as many datagrams as it has bits")
    guard let slot = local.receivers[receiver], let start = datagrams.baseAddress else {
      return nil
    }
    let sessions = peers.slots[slot].sessions
    guard let keys = sessions.keys(of: receiver) else { return nil }
    var admitted: UInt64 = 0
    for index in 0..<count {
      let header = unsafe TransportHeader(
        reading: Self.rest(datagrams, from: index, segmentSize)
      )
      if sessions.refusal(of: header, at: now) == nil {
        admitted |= 1 << UInt64(index)
      }
    }
    return unsafe OpeningRun(
      keys: keys,
      slot: slot,
      receiver: receiver,
      start: start,
      segmentSize: segmentSize,
      byteCount: datagrams.count,
      count: count,
      admitted: admitted
    )
  }

  /// Concludes a run that was opened: replays fall off, timers and counters learn of the rest.
  ///
  /// - Parameters:
  ///   - run: The run.
  ///   - now: Now.
  ///   - wall: Now on the wall clock.
  ///   - effects: Receives what to send in return.
  ///   - results: Receives what became of each datagram, in order.
  public mutating func finishOpening(
    _ run: OpeningRun,
    at now: Instant,
    timestamp wall: Timestamp,
    into effects: inout Effects,
    results: inout [Received]
  ) {
    finish(run, at: Moment(now: now, wall: wall), into: &effects) { results.append($0) }
  }

  private mutating func finish(
    _ run: OpeningRun,
    at moment: Moment,
    into effects: inout Effects,
    _ body: (Received) -> Void
  ) {
    guard local.receivers[run.receiver] == run.slot else {
      for _ in 0..<run.count { body(counters.drop(.unknownReceiver)) }
      return
    }
    let peer = peers.slots[run.slot].id
    var isAnyAuthentic = false
    for index in 0..<run.count {
      let datagram = unsafe run.datagram(index)
      let refusal = peers.slots[run.slot].conclude(
        unsafe TransportHeader(reading: datagram),
        count: datagram.count,
        keys: run.keys,
        isAuthentic: run.authentic & 1 << UInt64(index) != 0,
        at: moment,
        &local,
        into: &effects
      )
      if let refusal {
        body(counters.drop(refusal))
        continue
      }
      isAnyAuthentic = true
      let count = datagram.count - TransportHeader.overhead
      body(
        count == 0
          ? .keepalive(peer) : .packet(peer, offset: TransportHeader.length, count: count)
      )
    }
    if isAnyAuthentic { schedule(run.slot) }
  }

  /// How many transport messages of one session lie at the front.
  private static func leading(
    _ datagrams: UnsafeMutableRawBufferPointer,
    _ segmentSize: Int,
    _ most: Int
  ) -> (count: Int, receiver: UInt32?) {
    var count = 0
    var receiver: UInt32?
    while count < most {
      let datagram = unsafe rest(datagrams, from: count, segmentSize)
      guard min(segmentSize, datagram.count) >= TransportHeader.overhead,
        unsafe TransportHeader.type(of: datagram) == TransportHeader.messageType
      else { break }
      let named = unsafe TransportHeader(reading: datagram).receiver
      guard receiver == nil || receiver == named else { break }
      receiver = named
      count += 1
    }
    return (count, receiver)
  }

  /// What lies behind the first `count` datagrams.
  private static func rest(
    _ datagrams: UnsafeMutableRawBufferPointer,
    from count: Int,
    _ segmentSize: Int
  ) -> UnsafeMutableRawBufferPointer {
    let offset = min(count * segmentSize, datagrams.count)
    return unsafe UnsafeMutableRawBufferPointer(rebasing: datagrams[offset...])
  }
}
