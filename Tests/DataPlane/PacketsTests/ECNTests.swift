// SPDX-License-Identifier: Apache-2.0

import Packets
import Testing

@Suite("Congestion bits")
struct ECNTests {
  @Test("What comes out of a tunnel is what RFC 6040 says, figure 4")
  func merging() {
    let (not, one, zero, seen) = (
      ECN.notCapable, ECN.capable1, ECN.capable0, ECN.congested
    )
    let table: [(ECN, [ECN?])] = [
      (not, [not, not, not, nil]), (zero, [zero, zero, one, seen]), (one, [one, one, one, seen]),
      (seen, [seen, seen, seen, seen]),
    ]
    for (inner, expected) in table {
      #expect([not, zero, one, seen].map { inner.merged(withOuter: $0) } == expected)
    }
  }

  @Test("The bits are written without touching the class, and the checksum stays right")
  func writing() {
    for v6 in [false, true] {
      for before in 0...255 as ClosedRange<UInt8> {
        var packet = Support.tcp(v6: v6, payload: [1, 2, 3])
        if v6 {
          packet[0] = 0x60 | before >> 4
          packet[1] = before << 4
        } else {
          packet[1] = before
          packet.withPacketBytes { IPPacket.writeHeaderChecksum($0, length: 20) }
        }
        for bits in [ECN.congested, .capable1, .capable0, .notCapable] {
          packet.withPacketBytes { bits.write(to: $0) }
          let read = packet.withPacketBytes { ECN(of: $0) }
          #expect(read == bits)
          let after = v6 ? packet[0] << 4 | packet[1] >> 4 : packet[1]
          #expect(after & 0xFC == before & 0xFC)
          #expect(Support.isIntact(packet))
        }
      }
    }
  }

  @Test("A damaged header stays damaged")
  func damaged() {
    var packet = Support.tcp(payload: [1])
    packet[8] ^= 1
    packet.withPacketBytes { ECN.congested.write(to: $0) }
    #expect(!Support.isIntact(packet))
  }
}
