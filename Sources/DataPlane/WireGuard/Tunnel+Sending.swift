// SPDX-License-Identifier: Apache-2.0

public import Keys
public import Timing

extension Tunnel {
  /// Reserves counters for packets to a peer, and renews its session when it is getting old.
  ///
  /// Allocates only when a handshake begins.
  ///
  /// - Parameters:
  ///   - id: Whom the packets are for.
  ///   - packets: How many, at least one. Counters that stay unused do no harm.
  ///   - now: Now.
  ///   - wall: Now on the wall clock, for the stamp of an initiation.
  ///   - effects: Receives an initiation if one is due.
  /// - Returns: Nil when there is no usable session: a handshake is under way then, and the packets are
  ///   for `stage`.
  public mutating func beginSealing(
    _ id: PeerID,
    packets: Int,
    at now: Instant,
    timestamp wall: Timestamp,
    into effects: inout Effects
  ) -> SealingRun? {
    guard let slot = peers.slot(of: id) else { return nil }
    let (run, shouldRenew) = peers.slots[slot].reserve(packets, at: now)
    if run == nil || shouldRenew {
      let moment = Moment(now: now, wall: wall)
      peers.slots[slot].initiate(isRetry: false, at: moment, &local, into: &effects)
      schedule(slot)
    }
    return run
  }

  /// Writes the header of the packet at `index` of a run, seals the packet in place and adds the tag.
  ///
  /// `buffer` holds 16 bytes of room for the header, the plaintext (padded with zeros as
  /// `Padding.paddedLength` says), and 16 bytes of room for the tag. Allocates nothing.
  public func seal(
    _ run: SealingRun,
    index: Int,
    buffer: UnsafeMutableRawPointer,
    plaintextCount: Int
  ) {
    // SAFETY: the caller vouches for the room.
    unsafe run.header(index).seal(buffer, plaintextCount: plaintextCount, with: run.keys.sending)
  }

  /// Writes the headers of packets of a run that lie behind each other, seals them and adds the tags.
  ///
  /// Like `SealingRun.seal`, with what this tunnel seals with.
  public mutating func seal(
    _ run: SealingRun,
    _ packets: Range<Int>,
    at start: UnsafeMutableRawPointer,
    plaintextCount: Int,
    lastPlaintextCount: Int
  ) {
    if let share, TrainShare.isWorth(packets.count * plaintextCount) {
      // SAFETY: the caller vouches for the room.
      return unsafe share.seal(
        run,
        packets,
        at: start,
        plaintextCount: plaintextCount,
        lastPlaintextCount: lastPlaintextCount,
        with: &engine,
        &train
      )
    }
    // SAFETY: the caller vouches for the room.
    unsafe run.seal(
      packets,
      at: start,
      plaintextCount: plaintextCount,
      lastPlaintextCount: lastPlaintextCount,
      with: &engine,
      &train
    )
  }

  /// Notes that the datagrams of a run were handed to the network.
  public mutating func didSend(_ run: SealingRun, bytes: Int, at now: Instant) {
    guard run.slot < peers.slots.count, peers.slots[run.slot].id == run.peer,
      peers.slot(of: run.peer) == run.slot
    else { return }
    peers.slots[run.slot].didSendData(bytes, at: now)
    schedule(run.slot)
  }

  /// Keeps a packet until the peer has a session; the oldest of 128 makes room.
  ///
  /// The packet is unpadded. It comes out in `Effects.sends`, sealed.
  public mutating func stage(_ packet: [UInt8], for id: PeerID) {
    guard let slot = peers.slot(of: id) else {
      counters.stagedAbandoned += 1
      return
    }
    if peers.slots[slot].stage(packet) { counters.stagedOverflow += 1 }
  }
}
