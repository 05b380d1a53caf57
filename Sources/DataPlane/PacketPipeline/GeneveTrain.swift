// SPDX-License-Identifier: Apache-2.0

import Disco
import Magicsock
package import Packets

/// Datagrams of the tunnel that came together through one network of one peer relay.
///
/// All begin with the same 8 bytes; without them they are a train like any other.
package struct GeneveTrain {
  /// The network that all of them name.
  package let network: UInt32
  private let bytes: PacketBytes
  private let size: Int

  /// The train in `bytes`, cut into datagrams of `size`; nil when one of them is something else.
  ///
  /// For data that did not come through a peer relay that is one load and one compare.
  package init?(_ bytes: PacketBytes, _ size: Int) {
    let header = GeneveHeader.byteCount
    guard bytes.count > header, size > header, bytes.uint32(at: 0) == 0x0000_7A12 else {
      return nil
    }
    let tail = bytes.uint32(at: 4)
    guard tail & 0xFF == 0, tail != 0 else { return nil }
    var start = size
    while start < bytes.count {
      guard bytes.count - start > header, bytes.uint32(at: start) == 0x0000_7A12,
        bytes.uint32(at: start + 4) == tail
      else { return nil }
      start += size
    }
    network = tail >> 8
    (self.bytes, self.size) = (bytes, size)
  }

  /// The datagrams without their headers, moved together in place.
  package func unwrapped() -> PacketBytes {
    let header = GeneveHeader.byteCount
    guard bytes.count > size else { return bytes.slice(header..<bytes.count) }
    var (start, end) = (0, 0)
    while start < bytes.count {
      let one = bytes.slice(start + header..<min(start + size, bytes.count))
      bytes.copy(one, to: end)
      (start, end) = (start + size, end + one.count)
    }
    return bytes.slice(0..<end)
  }
}

extension PipelineEffects {
  /// Sends a datagram of the tunnel besides the trains.
  mutating func post(_ datagram: [UInt8], to destination: PacketSource) {
    guard case .peerRelay(_, let network) = destination else {
      return messages.append(Message(bytes: datagram, destination: destination))
    }
    let header = GeneveHeader(isControl: false, content: .wireguard, virtualNetwork: network)
    messages.append(Message(bytes: header.bytes + datagram, destination: destination))
  }

  /// Puts the header of a peer relay before each of the sealed datagrams at the end of the arena.
  ///
  /// - Parameters:
  ///   - range: Where they lie; nothing was taken from the arena since.
  ///   - segmentSize: The size of each but the last.
  ///   - network: The network at the relay.
  ///   - keepsOriginal: Whether they are needed without headers as well.
  /// - Returns: Where they lie now; nil when there is no room.
  mutating func wrap(
    _ range: Range<Int>,
    segmentSize: Int,
    for network: UInt32,
    keepsOriginal: Bool
  ) -> Range<Int>? {
    let header = GeneveHeader(isControl: false, content: .wireguard, virtualNetwork: network).bytes
    let count = (range.count + segmentSize - 1) / segmentSize
    let added = count * header.count
    let start: Int
    if keepsOriginal {
      guard let copy = arena.take(range.count + added) else { return nil }
      start = copy.lowerBound
    } else {
      precondition(range.upperBound == arena.used, "what was sealed last is wrapped")
      guard arena.take(added) != nil else { return nil }
      start = range.lowerBound
    }
    let wrapped = start..<start + range.count + added
    let bytes = arena.bytes
    // From the last to the first, for they move to the right by more the later they are.
    for index in (0..<count).reversed() {
      let from = range.lowerBound + index * segmentSize
      let one = bytes.slice(from..<min(from + segmentSize, range.upperBound))
      let place = start + index * (segmentSize + header.count)
      bytes.copy(one, to: place + header.count)
      bytes.copy(header, to: place)
    }
    return wrapped
  }
}
