// SPDX-License-Identifier: Apache-2.0

public import Addressing
internal import CHost
internal import Glibc

extension UDPSocket {
  /// A train that was received.
  public struct Received: Hashable, Sendable {
    /// How many bytes of the buffer were filled.
    public let count: Int
    /// The length of each datagram but the last, which may be shorter; never zero.
    public let segmentSize: Int
    /// Who sent it.
    public let source: Endpoint
    /// The traffic class, or type of service, of its IP headers.
    public let trafficClass: UInt8

    @inline(__always) init(_ received: chost_received) {
      count = Int(received.count)
      segmentSize = received.segment_size == 0 ? max(1, count) : Int(received.segment_size)
      source = Endpoint(received.source)
      trafficClass = received.traffic_class
    }
  }

  /// How many failing receive calls are passed over before the queue counts as empty.
  static var receiveAttempts: Int { 4 }

  /// Receives one datagram or train into `buffer`, which should hold `receiveCapacity` bytes.
  ///
  /// - Returns: Nil when nothing is waiting. What does not fit the buffer is dropped and counted.
  public mutating func receive(into buffer: UnsafeMutableRawBufferPointer) -> Received? {
    var received = chost_received()
    for _ in 0..<Self.receiveAttempts {
      // SAFETY: the buffer and the structure outlive the call.
      let result = unsafe chost_udp_receive(
        descriptor.rawValue,
        buffer.baseAddress,
        buffer.count,
        &received
      )
      if result < 0 {
        guard result != -Int(EAGAIN) else { return nil }
        counters.receiveErrors += 1
      } else if received.truncated != 0 {
        counters.truncated += 1
      } else {
        return Received(received)
      }
    }
    return nil
  }

  /// Receives up to a batch of datagrams or trains in one call.
  ///
  /// - Returns: How many are in `batch` now; zero when nothing is waiting.
  public mutating func receive(into batch: inout ReceiveBatch) -> Int {
    batch.count = 0
    // SAFETY: the batch owns both arrays, sized for its capacity.
    let result = unsafe chost_udp_receive_batch(
      descriptor.rawValue,
      batch.storage,
      batch.bytesEach,
      batch.received,
      UInt32(batch.capacity)
    )
    guard result >= 0 else {
      if result != -Int(EAGAIN) { counters.receiveErrors += 1 }
      return 0
    }
    batch.count = result
    for index in 0..<result where unsafe batch.received[index].truncated != 0 {
      counters.truncated += 1
    }
    return result
  }
}

/// Buffers for several datagrams or trains received in one call.
///
/// For sockets with many peers, where trains are short; it allocates once, when it is made.
@safe public struct ReceiveBatch: ~Copyable {
  let storage: UnsafeMutableRawPointer
  let received: UnsafeMutablePointer<chost_received>
  /// The room for each train, in bytes.
  public let bytesEach: Int
  /// How many trains it takes.
  public let capacity: Int
  /// How many it holds since the last call.
  public internal(set) var count = 0

  /// Room for `capacity` trains (at most 64) of `bytesEach` bytes.
  public init(capacity: Int, bytesEach: Int = UDPSocket.receiveCapacity) {
    precondition(
      (1...Int(CHOST_BATCH_MAXIMUM)).contains(capacity) && bytesEach > 0,
      "a receive batch holds 1 to 64 trains"
    )
    (self.capacity, self.bytesEach) = (capacity, bytesEach)
    unsafe storage = .allocate(byteCount: capacity * bytesEach, alignment: 64)
    unsafe received = .allocate(capacity: capacity)
    unsafe received.initialize(repeating: chost_received(), count: capacity)
  }

  deinit {
    unsafe storage.deallocate()
    unsafe received.deallocate()
  }

  /// The train at `index`; nil when it did not fit its buffer and must be dropped.
  public func train(_ index: Int) -> UDPSocket.Received? {
    precondition(index < count, "a train beyond those received")
    let one = unsafe received[index]
    return one.truncated == 0 ? UDPSocket.Received(one) : nil
  }

  /// The bytes of the train at `index`, to be changed in place; valid until the next receive.
  @unsafe public func bytes(_ index: Int) -> UnsafeMutableRawBufferPointer {
    precondition(index < count, "a train beyond those received")
    return unsafe UnsafeMutableRawBufferPointer(
      start: storage + index * bytesEach,
      count: min(bytesEach, Int(received[index].count))
    )
  }
}
