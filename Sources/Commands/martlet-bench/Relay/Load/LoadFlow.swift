// SPDX-License-Identifier: Apache-2.0

import DERP
import Keys
import Timing

/// Packets from one client to another: as many as the window or the rate allows.
struct LoadFlow: Sendable {
  /// How fast a flow sends.
  enum Pace: Hashable, Sendable {
    /// So many packets may be under way; nothing is lost then.
    case window(Int)
    /// So many packets a second, whatever becomes of them.
    case rate(Double)
    /// As many as the connection takes.
    case flood
  }

  /// About how much is written at once.
  private static let burstBytes = 16 * 1024
  private static let burstMaximum = 64
  private static let samplesMaximum = 1 << 20
  private static let stampOffset = Frame.headerSize + 32

  let sender: Int
  let receiver: Int
  let pace: Pace
  /// Whether the receiver reads.
  let isRead: Bool
  /// Whether it counts, or only disturbs those that do.
  let isMeasured: Bool

  private let size: Int
  private let frameSize: Int
  private let burst: Int
  private var frames: [UInt8]
  private var start = Instant.origin
  private var lastHeard = Instant.origin
  private var underWay = 0
  private(set) var sent = 0
  private(set) var received = 0
  private(set) var lost = 0
  private(set) var lastArrival = Instant.origin
  /// Nanoseconds that packets took.
  private(set) var delays: [Int64] = []

  init(
    from sender: Int,
    to receiver: Int,
    _ key: NodeKey,
    size: Int,
    pace: Pace,
    isRead: Bool = true,
    isMeasured: Bool = true
  ) {
    (self.sender, self.receiver, self.size, self.pace) = (sender, receiver, size, pace)
    (self.isRead, self.isMeasured) = (isRead, isMeasured)
    let packet = [UInt8](repeating: 0x5A, count: size)
    let frame = Frame.sendPacket(to: key, packet).bytes
    frameSize = frame.count
    let fitting = max(1, min(Self.burstMaximum, Self.burstBytes / frame.count))
    burst = if case .window(let window) = pace { min(fitting, max(1, window / 2)) } else { fitting }
    frames = []
    for _ in 0..<Self.burstMaximum { frames += frame }
  }

  /// How long it took until the last packet came.
  var seconds: Double { max(0, (lastArrival - start).inSeconds) }

  /// Whether it would send on without hearing anything.
  var mayGoOn: Bool { pace == .flood }

  /// When it sends next by itself; nil when it waits for something else.
  var nextDue: Instant? {
    guard case .rate(let rate) = pace else { return nil }
    return start + .nanoseconds(Int64(Double(sent + 1) / rate * 1e9))
  }

  mutating func begin(at now: Instant) {
    (start, lastHeard, lastArrival) = (now, now, now)
    (sent, received, lost, underWay) = (0, 0, 0, 0)
    delays.removeAll(keepingCapacity: true)
  }

  /// The frames that are to be sent now; nil for none.
  mutating func batch(at now: Instant) -> ArraySlice<UInt8>? {
    let count = due(at: now)
    guard count > 0 else { return nil }
    let stamp = UInt64(bitPattern: now.nanoseconds).littleEndian
    unsafe frames.withUnsafeMutableBytes { bytes in
      for index in 0..<count {
        // SAFETY: packets have eight bytes and more, and there are `burstMaximum` of them.
        unsafe bytes.storeBytes(
          of: stamp,
          toByteOffset: index * frameSize + Self.stampOffset,
          as: UInt64.self
        )
      }
    }
    sent += count
    underWay += count
    return frames[..<(count * frameSize)]
  }

  private mutating func due(at now: Instant) -> Int {
    switch pace {
    case .flood: return burst
    case .rate(let rate):
      return min(Self.burstMaximum, Int((now - start).inSeconds * rate) - sent)
    case .window(let window):
      if underWay > 0, now - lastHeard > LoadWorker.lossTimeout {
        lost += underWay
        underWay = 0
        lastHeard = now
      }
      let room = window - underWay
      return room >= burst ? burst : 0
    }
  }

  mutating func received(_ arrivals: LoadArrivals, at now: Instant) {
    received += arrivals.packets
    underWay = max(0, underWay - arrivals.packets)
    (lastHeard, lastArrival) = (now, now)
    if isMeasured, delays.count < Self.samplesMaximum { delays += arrivals.delays }
  }
}

/// Packets that came together.
struct LoadArrivals {
  private(set) var packets = 0
  private(set) var delays: [Int64] = []

  mutating func add(_ packet: UnsafeRawBufferPointer, at now: Instant) {
    packets += 1
    guard packet.count >= 8 else { return }
    // SAFETY: eight bytes are there.
    let stamp = unsafe UInt64(littleEndian: packet.loadUnaligned(as: UInt64.self))
    delays.append(now.nanoseconds - Int64(bitPattern: stamp))
  }
}
