// SPDX-License-Identifier: Apache-2.0

public import Cryptography

/// Received datagrams of one session that are about to be opened.
///
/// Begun by `Tunnel.beginOpening`, which refuses what is not worth a decryption; opened by any thread
/// that has an engine and a train of its own; concluded by `Tunnel.finishOpening`, which judges each
/// datagram in order as if it had come alone. Runs of one session are concluded in the order in which
/// they were begun.
@safe
public struct OpeningRun: @unchecked Sendable {
  /// The most datagrams of a run.
  public static let maximumCount = 64

  let keys: SessionKeys
  let slot: Int
  let receiver: UInt32
  // SAFETY: who begins a run keeps the datagrams where they are until it is finished.
  let start: UnsafeMutableRawPointer
  let segmentSize: Int
  let byteCount: Int
  /// How many datagrams there are.
  public let count: Int
  /// A bit for each one that is worth opening, the first one's the lowest.
  let admitted: UInt64
  /// A bit for each one that was found authentic.
  var authentic: UInt64 = 0

  /// Opens the datagrams in place; allocates nothing.
  ///
  /// - Parameters:
  ///   - engine: What the calling thread opens with.
  ///   - train: A train of the calling thread's, whatever is in it.
  public mutating func open(with engine: inout PacketEngine, _ train: inout PacketTrain) {
    authentic = opened(0..<count, with: &engine, &train)
  }

  /// Opens some of the datagrams in place; any thread may, if no other opens the same ones.
  ///
  /// - Returns: A bit for each that is authentic, the first one's of the run the lowest.
  func opened(
    _ datagrams: Range<Int>,
    with engine: inout PacketEngine,
    _ train: inout PacketTrain
  ) -> UInt64 {
    train.removeAll()
    for index in datagrams where admitted & 1 << UInt64(index) != 0 {
      let datagram = unsafe datagram(index)
      guard let base = datagram.baseAddress else { continue }
      let header = unsafe TransportHeader(reading: datagram)
      // SAFETY: every datagram of a run has at least a header and a tag.
      unsafe train.append(
        base + TransportHeader.length,
        count: datagram.count - TransportHeader.length,
        counter: header.counter
      )
    }
    engine.open(&train, with: keys.receiving)
    var position = 0
    var authentic: UInt64 = 0
    for index in datagrams where admitted & 1 << UInt64(index) != 0 {
      if train.isAuthentic(position) { authentic |= 1 << UInt64(index) }
      position += 1
    }
    return authentic
  }

  /// Where the datagram at `index` lies.
  func datagram(_ index: Int) -> UnsafeMutableRawBufferPointer {
    let offset = index * segmentSize
    // SAFETY: all but the last have the segment's size, and none goes past the end.
    return unsafe UnsafeMutableRawBufferPointer(
      start: start + offset,
      count: min(segmentSize, byteCount - offset)
    )
  }
}
