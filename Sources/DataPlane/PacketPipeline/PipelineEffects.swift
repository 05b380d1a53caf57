// SPDX-License-Identifier: Apache-2.0

package import Magicsock
package import Packets

/// What the pipeline asks its driver to do.
///
/// The driver owns one and reuses it: it performs everything after a call (or after several outbound
/// calls, while `hasRoom`), then calls `reset`. `deliveries` point into the buffer that was handed to
/// `inbound` and must be written before that buffer is touched again.
package struct PipelineEffects: ~Copyable {
  /// Sealed datagrams of one size (the last may be shorter) that go one way, end to end.
  package struct Train: Hashable, Sendable {
    /// Where in the arena they lie.
    package var range: Range<Int>
    /// The size of each but the last.
    package var segmentSize: Int
    /// Where they go.
    package var destination: PacketSource
    /// What their outer headers are to say of congestion.
    package var ecn = ECN.notCapable

    /// How many datagrams they are.
    package var count: Int { (range.count + segmentSize - 1) / segmentSize }
  }

  /// One packet or super-packet for the host, in pieces.
  package struct Delivery: Hashable, Sendable {
    /// What goes in front of it.
    package var header: OffloadHeader
    /// Which of `pieces` make it up, in order.
    package var pieces: Range<Int>
  }

  /// One datagram of a control kind: discovery, STUN, handshakes, and packets that waited for one.
  package struct Message: Hashable, Sendable {
    /// The datagram.
    package var bytes: [UInt8]
    /// Where it goes.
    package var destination: PacketSource
  }

  /// The most datagrams that the kernel takes in one run.
  static let maximumTrainCount = 64
  /// The most bytes that the kernel takes in one run.
  static let maximumTrainBytes = 65_000

  /// Sealed datagrams, in order; `bytes(of:)` has them.
  package private(set) var trains: [Train] = []
  /// What the host receives, in order.
  package private(set) var deliveries: [Delivery] = []
  /// The pieces that deliveries are made of.
  package private(set) var pieces: [PacketBytes] = []
  /// Datagrams besides the trains, in order.
  package var messages: [Message] = []
  /// Packets that the pipeline made for the host itself.
  package var hostPackets: [[UInt8]] = []
  /// What others should know.
  package var events: [PipelineEvent] = []
  /// The shard that owns the peer of the packet just taken from the host, if that is another one: then
  /// nothing was done with the packet, and the driver hands it over at once.
  package var foreignOwner: Int?
  var arena = Arena()

  /// Nothing to do.
  package init() {
    trains.reserveCapacity(64)
    deliveries.reserveCapacity(256)
    pieces.reserveCapacity(512)
  }

  /// Whether there is nothing to do.
  package var isEmpty: Bool {
    trains.isEmpty && deliveries.isEmpty && messages.isEmpty && hostPackets.isEmpty
      && events.isEmpty
  }

  /// Whether the effects of another outbound super-packet are sure to fit.
  package var hasRoom: Bool { arena.hasRoom }

  /// The datagrams of a train.
  package func bytes(of train: Train) -> PacketBytes { arena.bytes.slice(train.range) }

  /// Forgets what has been done; keeps the memory.
  package mutating func reset() {
    trains.removeAll(keepingCapacity: true)
    deliveries.removeAll(keepingCapacity: true)
    pieces.removeAll(keepingCapacity: true)
    messages.removeAll(keepingCapacity: true)
    hostPackets.removeAll(keepingCapacity: true)
    events.removeAll(keepingCapacity: true)
    arena.reset()
  }

  /// Forgets deliveries, which must not outlive the buffer that they point into; keeps the rest.
  package mutating func resetDeliveries() {
    deliveries.removeAll(keepingCapacity: true)
    pieces.removeAll(keepingCapacity: true)
  }

  /// Sends the sealed datagrams in `range`, joined with the run before them where the kernel allows.
  mutating func send(
    _ range: Range<Int>,
    segmentSize: Int,
    to destination: PacketSource,
    ecn: ECN
  ) {
    if let last = trains.last, last.ecn == ecn, last.destination == destination,
      Self.joins(last, range, segmentSize)
    {
      trains[trains.count - 1].range = last.range.lowerBound..<range.upperBound
      return
    }
    let most = max(1, min(Self.maximumTrainCount, Self.maximumTrainBytes / segmentSize))
    var start = range.lowerBound
    while start < range.upperBound {
      let end = min(range.upperBound, start + most * segmentSize)
      trains.append(
        Train(range: start..<end, segmentSize: segmentSize, destination: destination, ecn: ecn)
      )
      start = end
    }
  }

  private static func joins(_ train: Train, _ next: Range<Int>, _ segmentSize: Int) -> Bool {
    guard train.range.upperBound == next.lowerBound, train.range.count % train.segmentSize == 0
    else { return false }
    let fits =
      segmentSize == train.segmentSize
      || (segmentSize < train.segmentSize && next.count == segmentSize)
    let count = train.count + (next.count + segmentSize - 1) / segmentSize
    return fits && count <= maximumTrainCount
      && train.range.count + next.count <= maximumTrainBytes
  }

  /// Delivers one packet as it is.
  mutating func deliver(_ packet: PacketBytes) {
    pieces.append(packet)
    deliveries.append(Delivery(header: .none, pieces: pieces.count - 1..<pieces.count))
  }

  /// Delivers a packet or super-packet that consists of `parts`.
  mutating func deliver(_ header: OffloadHeader, _ parts: UnsafeBufferPointer<PacketBytes>) {
    let start = pieces.count
    if parts.count == 1 {
      unsafe pieces.append(parts[0])
    } else {
      unsafe pieces.append(contentsOf: parts)
    }
    deliveries.append(Delivery(header: header, pieces: start..<pieces.count))
  }
}
