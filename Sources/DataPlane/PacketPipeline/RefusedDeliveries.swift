// SPDX-License-Identifier: Apache-2.0

package import Packets

/// What is done when the host does not take a super-packet that it said it would.
///
/// Some kernels refuse some super-packets at the time of writing (Linux 6.6.44 and its relatives did all
/// of TCP). Nothing is lost by it: the packets are written one by one, and when that keeps happening,
/// packets of the kind are joined no more.
extension Pipeline {
  /// After so many refused super-packets of one kind, its packets are joined no more.
  package static let refusalsMaximum = 8

  /// Takes note that the host refused a super-packet, but took its packets one by one.
  package mutating func noteRefused(_ header: OffloadHeader) {
    let kind: Joining =
      switch header.segmentation {
      case .none: []
      case .tcpV4: .tcp4
      case .tcpV6: .tcp6
      case .udp: [.udp4, .udp6]
      }
    guard !kind.isEmpty, !joining.isDisjoint(with: kind) else { return }
    refusals[kind.rawValue, default: 0] += 1
    if refusals[kind.rawValue, default: 0] >= Self.refusalsMaximum { joining.subtract(kind) }
  }
}

extension PipelineEffects {
  /// The packets that a super-packet was joined from; none when it is no super-packet.
  package func packets(of delivery: Delivery) -> [[UInt8]] {
    guard delivery.header.segmentation != .none else { return [] }
    var whole = pieces[delivery.pieces].flatMap(\.array)
    return whole.withPacketBytes { bytes in
      let view = PacketView(bytes)
      guard let segmenter = Segmenter(bytes, view, delivery.header) else { return [] }
      return (0..<segmenter.count).map { index in
        var packet = [UInt8](repeating: 0, count: segmenter.length(of: index))
        packet.withPacketBytes { segmenter.write(index, of: bytes, to: $0) }
        return packet
      }
    }
  }
}
