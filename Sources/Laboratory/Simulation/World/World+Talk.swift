// SPDX-License-Identifier: Apache-2.0

import Addressing
import Bytes
import Keys
import LocalAPI
import Magicsock
import PacketPipeline
import Packets
import Timing
import WireGuard

/// What the hosts behind the nodes say to each other: questions, each answered by the same bytes.
extension World {
  private static let questionPort: UInt16 = 7

  /// A node's host asks another's.
  func talk(from: VirtualNode, to: VirtualNode, size: Int) {
    let id = oracle.asked(from: from.index, to: to.index, size: size, at: now)
    guard !from.isAsleep, internet.hosts[from.host.index].isUp,
      let packet = Self.packet(id, isAnswer: false, size: size, from: from, to: to)
    else { return }
    hand(packet, fromHostOf: from)
  }

  private func hand(_ packet: [UInt8], fromHostOf node: VirtualNode) {
    var packet = packet
    let moment = moment(of: node)
    packet.withPacketBytes {
      node.pipeline.outbound($0, offload: .none, at: moment, into: &node.effects)
    }
    perform(node)
  }

  /// A node's host receives a packet out of the tunnel.
  func deliver(_ packet: [UInt8], to node: VirtualNode) {
    var bytes = packet
    let (view, content) = bytes.withPacketBytes { buffer in
      let view = PacketView(buffer)
      let start = min(view.transportOffset + 8, view.length)
      return (view, buffer.slice(start..<view.length).array)
    }
    guard view.kind == .udp, let talk = Oracle.Content(content) else { return }
    let sender = nodes.first { $0.addresses.contains(view.source) }
    let isShielded = node.preferences.shieldsUp
    if let sender, oracle.isRemoved(node.index) ? isInformed(sender) : isInformed(node) {
      oracle.informed(sender.index, node.index, at: now)
    }
    oracle.delivered(talk, from: sender?.index, to: node.index, isShielded: isShielded, at: now)
    guard let sender else { return }
    if talk.isAnswer {
      let way = way(from: node, to: sender)
      oracle.answered(talk.id, over: way, at: now)
    } else if let answer = Self.packet(
      talk.id,
      isAnswer: true,
      size: content.count,
      from: node,
      to: sender
    ) {
      hand(answer, fromHostOf: node)
    }
  }

  /// Whether what the coordination server says has reached a node for so long that nothing it sent
  /// before is under way.
  private func isInformed(_ node: VirtualNode) -> Bool {
    guard let since = node.control.connectedSince, now - since > Oracle.grace,
      let connection = node.control.connection
    else { return false }
    return connections[connection]?.stuckSince == nil
  }

  private static func packet(
    _ id: UInt64,
    isAnswer: Bool,
    size: Int,
    from: VirtualNode,
    to: VirtualNode
  ) -> [UInt8]? {
    guard let source = from.addresses.first, let destination = to.addresses.first else {
      return nil
    }
    var content = Oracle.Content(id: id, isAnswer: isAnswer).bytes
    content += [UInt8](repeating: 0, count: max(0, size - content.count))
    var datagram = ByteWriter()
    datagram.bigEndian(isAnswer ? questionPort : 40_000)
    datagram.bigEndian(isAnswer ? 40_000 : questionPort)
    datagram.bigEndian(UInt16(8 + content.count))
    datagram.bigEndian(UInt16(0))
    datagram.write(content)
    return IPPacket.build(from: source, to: destination, proto: .udp, payload: datagram.bytes)
  }

  // MARK: Looking

  /// Whether what one node sends to another goes directly now.
  func isDirect(from: VirtualNode, to: VirtualNode) -> Bool { way(from: from, to: to) == .direct }

  /// Tells what one node knows of its path to another.
  func tellPath(from one: Int, to other: Int) {
    guard let peer = nodes[other].peerID else { return }
    let path = nodes[one].pipeline.status(at: now).peers[peer]?.path
    tell("node\(one) to node\(other): \(path.map { "\($0)" } ?? "unknown")")
  }

  /// Which way what one node sends to another goes now.
  func way(from: VirtualNode, to: VirtualNode) -> Oracle.Way {
    guard let peer = to.peerID, let path = from.pipeline.status(at: now).peers[peer]?.path,
      path.direct != nil, path.isTrusted
    else { return .relayed }
    return path.network == nil ? .direct : .carried
  }

  /// Whether what one node sends to another goes directly now.
  package func isDirect(from: Int, to: Int) -> Bool { isDirect(from: nodes[from], to: nodes[to]) }

  /// What a node did so far that costs something.
  func economy(of node: Int) -> VirtualNode.Economy { nodes[node].economy }
}
