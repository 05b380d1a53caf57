// SPDX-License-Identifier: Apache-2.0

public import Addressing
internal import CHost
internal import Glibc

extension UDPSocket {
  /// Sends a train: `bytes` cut into datagrams of `segmentSize`, the last may be shorter.
  ///
  /// A single datagram is a train with `segmentSize` zero or at least its length. When the kernel
  /// cannot cut, the datagrams are sent one by one; when a datagram fails, the rest of the train is
  /// not tried, as a network may lose any of it anyway.
  ///
  /// - Parameters:
  ///   - bytes: The datagrams.
  ///   - segmentSize: The length of each but the last.
  ///   - endpoint: Where they go.
  ///   - trafficClass: The traffic class, or type of service, of their IP headers.
  /// - Returns: What became of them.
  public mutating func send(
    _ bytes: UnsafeRawBufferPointer,
    segmentSize: Int,
    to endpoint: Endpoint,
    trafficClass: UInt8 = 0
  ) -> SendResult {
    guard let base = bytes.baseAddress else { return .sent }
    let way = Way(to: chost_endpoint(endpoint), trafficClass: trafficClass)
    guard segmentSize > 0, bytes.count > segmentSize else {
      return unsafe sendOne(base, count: bytes.count, segmentSize: 0, way)
    }
    precondition(segmentSize <= UInt16.max, "a datagram is at most 65,535 bytes")
    return unsafe sendTrain(base, count: bytes.count, segmentSize: segmentSize, way)
  }

  /// What the datagrams of a train have in common.
  private struct Way {
    var to: chost_endpoint
    var trafficClass: UInt8
  }

  private mutating func sendTrain(
    _ base: UnsafeRawPointer,
    count: Int,
    segmentSize: Int,
    _ way: Way
  ) -> SendResult {
    let most = min(Self.maximumTrainCount, max(1, Self.maximumTrainBytes / segmentSize))
    var offset = 0
    while offset < count {
      let piece = features.sendsTrains ? min(count - offset, most * segmentSize) : segmentSize
      let size = min(piece, count - offset)
      let result = unsafe sendOne(base + offset, count: size, segmentSize: segmentSize, way)
      guard case .sent = result else {
        if size > segmentSize, refusesTrains(result) {
          return unsafe sendOneByOne(
            base + offset,
            count: count - offset,
            segmentSize: segmentSize,
            way
          )
        }
        return result
      }
      if size > segmentSize { refusalsInARow = 0 }
      offset += size
    }
    return .sent
  }

  private func sendOneByOne(
    _ base: UnsafeRawPointer,
    count: Int,
    segmentSize: Int,
    _ way: Way
  ) -> SendResult {
    var offset = 0
    while offset < count {
      let size = min(segmentSize, count - offset)
      let result = unsafe sendOne(base + offset, count: size, segmentSize: 0, way)
      guard case .sent = result else { return result }
      offset += size
    }
    return .sent
  }

  private func sendOne(
    _ bytes: UnsafeRawPointer,
    count: Int,
    segmentSize: Int,
    _ way: Way
  ) -> SendResult {
    var to = way.to
    // SAFETY: the caller vouches for `bytes` and `count`; the kernel reads them during the call.
    let sent = unsafe chost_udp_send(
      descriptor.rawValue,
      bytes,
      count,
      UInt16(truncatingIfNeeded: segmentSize),
      way.trafficClass,
      &to
    )
    return sent >= 0 ? .sent : SendResult(code: Int32(truncatingIfNeeded: -sent))
  }

  /// Whether a failed train failed for being a train; remembers what the socket must not try again.
  ///
  /// EIO says that the device cannot checksum: true for the socket's life. EINVAL and EMSGSIZE say
  /// that this train does not fit the route's MTU, which another route may lift.
  ///
  /// - Source: udp(7), UDP_SEGMENT; `udp_send_skb` in Linux.
  mutating func refusesTrains(_ result: SendResult) -> Bool {
    switch result {
    case .failed(EIO): features.sendsTrains = false
    case .failed(EINVAL), .tooLarge:
      refusalsInARow += 1
      if refusalsInARow >= Self.refusalsMaximum { features.sendsTrains = false }
    default: return false
    }
    counters.trainsRefused += 1
    return true
  }
}
