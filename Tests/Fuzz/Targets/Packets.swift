// SPDX-License-Identifier: Apache-2.0

import Addressing
import ControlProtocol
import JSON
import Keys
import PacketFilter
import Packets

@testable import NodeConfiguration

extension FuzzTarget {
  static let packets = [
    // Two packets, the second behind the first, as they come out of the tunnel.
    FuzzTarget("Packets", seeds: ["Corpora/Packets"]) { bytes in
      var head = Array(bytes.prefix(2048))
      var next = Array(bytes.dropFirst(2048))
      if next.isEmpty { next = head }
      head.withPacketBytes { head in
        let view = PacketView(head)
        claim(view.kind == .malformed || view.length <= head.count, "a packet beyond its bytes")
        _ = ICMPEcho(head, view)
        _ = TSMPMessage(head, view)
        guard view.kind != .malformed else { return }
        for joining in [Joining.tcp, .all] {
          var coalescer = Coalescer(head, view, joining: joining)
          next.withPacketBytes { next in
            let following = PacketView(next)
            guard following.kind != .malformed else { return }
            _ = coalescer.append(next, following)
          }
          _ = coalescer.finish()
        }
      }
    },
    // A virtio header and a packet, as the kernel hands them over.
    FuzzTarget("Offload") { bytes in
      var bytes = bytes
      bytes.withPacketBytes { buffer in
        guard let offload = OffloadHeader(buffer), buffer.count >= OffloadHeader.size else {
          return
        }
        let packet = buffer.slice(OffloadHeader.size..<buffer.count)
        let view = PacketView(packet)
        guard let segmenter = Segmenter(packet, view, offload) else { return }
        var room = [UInt8](repeating: 0, count: segmenter.largest)
        room.withPacketBytes { target in
          for index in 0..<min(segmenter.count, 70) {
            let length = segmenter.length(of: index)
            claim(length <= target.count, "a segment larger than the largest")
            segmenter.write(index, of: packet, to: target.slice(0..<length))
          }
        }
      }
    },
    FuzzTarget("AddressText") { bytes in
      _ = try AddressText(String(decoding: bytes, as: UTF8.self))
    },
    // Orders: 0 rules as JSON, 1 a packet in, 2 a packet out.
    FuzzTarget("PacketFilter") { bytes in
      let own: [IPPrefix] = [IPPrefix(host: IPAddress(100, 64, 0, 1))]
      var filter = Filter.none
      var flows = FlowTable()
      for (order, body) in Script(bytes).prefix(64) {
        guard order > 0 else {
          var reader = JSONReader(body)
          let rules = FilterRules(try reader.list(of: FilterRule.self))
          filter = Filter(localNetworks: own, rules: rules.rules)
          continue
        }
        var packet = body
        packet.withPacketBytes { packet in
          let view = PacketView(packet)
          if order == 1 {
            let verdict = filter.inbound(view, flows: &flows)
            claim(view.kind != .malformed || verdict.isDrop, "a malformed packet came in")
          } else {
            _ = filter.outbound(view, flows: &flows)
          }
        }
      }
    },
  ]
}

extension Verdict {
  fileprivate var isDrop: Bool { if case .drop = self { true } else { false } }
}
