// SPDX-License-Identifier: Apache-2.0

public import Addressing
internal import CHost

/// Trains to several endpoints that leave in as few calls as possible.
///
/// Filled and sent over and over; it allocates once, when it is made.
@safe public struct SendBatch: ~Copyable {
  /// The most trains in one batch.
  public static let maximumCount = Int(CHOST_BATCH_MAXIMUM)

  let trains: UnsafeMutablePointer<chost_train>
  /// How many trains are in it.
  public private(set) var count = 0

  /// An empty batch.
  public init() {
    unsafe trains = .allocate(capacity: Self.maximumCount)
    unsafe trains.initialize(repeating: chost_train(), count: Self.maximumCount)
  }

  deinit { unsafe trains.deallocate() }

  /// Adds the train that lies at `range` of the arena.
  ///
  /// - Returns: False when the batch is full: send it first.
  public mutating func append(
    _ range: Range<Int>,
    segmentSize: Int,
    to endpoint: Endpoint,
    trafficClass: UInt8 = 0
  ) -> Bool {
    guard count < Self.maximumCount else { return false }
    // SAFETY: `count` is below the capacity that was allocated.
    unsafe trains[count] = chost_train(
      offset: UInt32(range.lowerBound),
      count: UInt32(range.count),
      segment_size: UInt16(clamping: segmentSize),
      traffic_class: trafficClass,
      to: chost_endpoint(endpoint)
    )
    count += 1
    return true
  }

  /// Forgets the trains.
  public mutating func removeAll() { count = 0 }
}

/// What became of a batch.
public struct BatchResult: Hashable, Sendable {
  /// How many trains the kernel took.
  public var sent = 0
  /// How many were given up for a reason of their own.
  public var failed = 0
  /// How many at the end were not tried because the socket's buffer is full.
  public var waiting = 0
  /// Why the last one failed that did.
  public var lastFailure: SendResult?
}

extension UDPSocket {
  /// Sends the trains of `batch`, whose ranges lie in `arena`; a train that fails stops no other.
  public mutating func send(
    _ batch: borrowing SendBatch,
    from arena: UnsafeRawBufferPointer
  ) -> BatchResult {
    var result = BatchResult()
    guard let base = arena.baseAddress else { return result }
    var index = 0
    while index < batch.count {
      // SAFETY: the ranges lie in the arena, as the caller vouches, and live through the call.
      let sent =
        features.sendsTrains
        ? unsafe chost_udp_send_batch(
          descriptor.rawValue,
          base,
          batch.trains + index,
          UInt32(batch.count - index)
        ) : -1
      if sent > 0 {
        result.sent += sent
        index += sent
        continue
      }
      // The first one failed: the call for one knows what to do about it.
      let train = unsafe batch.trains[index]
      let outcome = unsafe send(
        UnsafeRawBufferPointer(start: base + Int(train.offset), count: Int(train.count)),
        segmentSize: Int(train.segment_size),
        to: Endpoint(train.to),
        trafficClass: train.traffic_class
      )
      switch outcome {
      case .sent: result.sent += 1
      case .wouldBlock:
        result.waiting = batch.count - index
        return result
      default:
        result.failed += 1
        result.lastFailure = outcome
      }
      index += 1
    }
    return result
  }
}
