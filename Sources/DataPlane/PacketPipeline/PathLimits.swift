// SPDX-License-Identifier: Apache-2.0

import Addressing
import Keys
import Magicsock
import Packets
import Timing

/// What is done about paths that carry less than the tunnel may send.
///
/// Packets that are too large take the relay, so nothing is stuck; here their senders are told, so that
/// they need not be.
extension Pipeline {
  /// How many senders are told in a second, and at once.
  static let tellingLimits = (perSecond: 50, burst: 100)

  /// Tells the host that sent a packet how large one may be on this path, if that is known.
  mutating func tellTooBig(
    _ packet: PacketBytes,
    to peer: PeerID,
    at now: Instant,
    into effects: inout PipelineEffects
  ) {
    guard let limit = paths.limit(to: peer) else { return }
    var bucket =
      telling
      ?? TokenBucket(
        perSecond: Self.tellingLimits.perSecond,
        burst: Self.tellingLimits.burst,
        at: now
      )
    defer { telling = bucket }
    guard bucket.admit(at: now),
      let told = PacketTooBig.packet(about: packet, PacketView(packet), mtu: Self.innerSize(limit))
    else { return }
    effects.hostPackets.append(told)
  }

  /// Has both ends of a TCP connection that begins send segments that fit the path.
  mutating func lowerSegmentSize(
    _ packet: PacketBytes,
    _ view: PacketView,
    _ peer: PeerID,
    needsChecksum: Bool = false
  ) {
    guard let limit = paths.limit(to: peer) else { return }
    let headers = (view.source.isV4 ? 20 : 40) + 20
    SegmentSizeOption.lower(
      packet,
      view,
      to: Self.innerSize(limit) - headers,
      needsChecksum: needsChecksum
    )
  }

  /// How large a packet is whose datagram has `size` bytes at most.
  private static func innerSize(_ size: Int) -> Int {
    // Packets are padded to whole blocks.
    max(0, size - overhead) & ~15
  }
}

extension PacketView {
  /// Whether it is one of the two packets with which TCP begins.
  var isOpening: Bool { kind == .tcp && flags.contains(.syn) }
}
