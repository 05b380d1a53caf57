// SPDX-License-Identifier: Apache-2.0

import Tables
import Timing

/// Packets out and in.
extension Peer {
  /// Reserves counters in the session in use, of which there may be none, and tells whether it is time for
  /// a new one.
  mutating func reserve(
    _ packets: Int,
    at now: Instant
  ) -> (run: SealingRun?, shouldRenew: Bool) {
    guard !isAsleep else { return (nil, false) }
    let (slot, peer) = (slot, id)
    return wakeful.update { awake in
      guard let first = awake.sessions.reserve(packets, at: now),
        let session = awake.sessions.current
      else { return (nil, false) }
      let run = SealingRun(
        keys: session.keys,
        receiver: session.remoteIndex,
        firstCounter: first,
        slot: slot,
        peer: peer
      )
      return (run, session.shouldRenewWhenSending(at: now))
    }
  }

  /// Whether the session in use should be replaced, seen when sending.
  func shouldRenewWhenSending(at now: Instant) -> Bool {
    sessions.current?.shouldRenewWhenSending(at: now) ?? false
  }

  mutating func didSendData(_ bytes: Int, at now: Instant) {
    status.bytesSent &+= UInt64(truncatingIfNeeded: bytes)
    guard !isAsleep else { return }
    wakeful.update { awake in
      awake.timers.dataSent(at: now)
      awake.timers.packetSent(at: now)
    }
  }

  /// Keeps a packet for the next session; true when the oldest had to make room.
  mutating func stage(_ packet: [UInt8]) -> Bool { staged.append(packet) }

  /// Sends what waited for a session; tells whether there was anything.
  mutating func sendStaged(
    at now: Instant,
    _ local: LocalState,
    into effects: inout Effects
  ) -> Bool {
    guard !staged.isEmpty, sessions.current?.isAlive(at: now) == true else { return false }
    for packet in staged.takeAll() {
      guard let run = reserve(1, at: now).run else {
        _ = staged.append(packet)
        continue
      }
      let padded = Padding.paddedLength(packet.count, mtu: local.mtu)
      let plaintext = packet + [UInt8](repeating: 0, count: padded - packet.count)
      let datagram = run.datagram(sealing: plaintext)
      effects.sends.append(.init(peer: id, bytes: datagram, kind: .data))
      didSendData(datagram.count, at: now)
    }
    return true
  }

  /// Sends an empty packet, if there is a session to send it with.
  mutating func sendKeepalive(at now: Instant, into effects: inout Effects) -> Bool {
    guard let run = reserve(1, at: now).run else { return false }
    let datagram = run.datagram(sealing: [])
    effects.sends.append(.init(peer: id, bytes: datagram, kind: .keepalive))
    status.bytesSent &+= UInt64(datagram.count)
    timers.packetSent(at: now)
    return true
  }

  /// Takes an opened transport message.
  ///
  /// - Parameters:
  ///   - header: Its header.
  ///   - count: Its length, header and tag included.
  ///   - keys: What it was opened with.
  ///   - isAuthentic: Whether it did open.
  ///   - moment: Now.
  ///   - local: What all peers share.
  ///   - effects: Receives what to send in return.
  /// - Returns: Why it is dropped; nil when it is taken.
  mutating func conclude(
    _ header: TransportHeader,
    count: Int,
    keys: SessionKeys,
    isAuthentic: Bool,
    at moment: Moment,
    _ local: inout LocalState,
    into effects: inout Effects
  ) -> DropReason? {
    guard !isAsleep else { return .unknownReceiver }
    let isData = count > TransportHeader.overhead
    // All that most packets need, in one access; what copies of the box cost would be paid for each.
    let (refusal, isConfirmed, shouldRenew) = wakeful.update { awake in
      guard awake.sessions.keys(of: header.receiver) === keys else {
        return (DropReason?.some(.unknownReceiver), false, false)
      }
      let result = awake.sessions.conclude(
        header,
        isAuthentic: isAuthentic,
        at: moment.now,
        &local.receivers
      )
      guard result.refusal == nil else { return (result.refusal, false, false) }
      awake.timers.packetReceived(at: moment.now)
      let shouldRenew = awake.sessions.shouldRenewWhenReceiving(at: moment.now)
      if isData, !shouldRenew, !result.isConfirmed { awake.timers.dataReceived(at: moment.now) }
      return (nil, result.isConfirmed, shouldRenew)
    }
    if let refusal { return refusal }
    status.bytesReceived &+= UInt64(count)
    guard isConfirmed || shouldRenew else { return nil }
    if isConfirmed {
      completeHandshake(at: moment, into: &effects)
      _ = sendStaged(at: moment.now, local, into: &effects)
    }
    if shouldRenew {
      initiate(isRetry: false, at: moment, &local, into: &effects)
    }
    if isData { timers.dataReceived(at: moment.now) }
    return nil
  }
}
