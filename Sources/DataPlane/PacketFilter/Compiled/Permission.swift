// SPDX-License-Identifier: Apache-2.0

import Packets

/// What the rules between a list of sources and a list of destinations let in.
struct Permission: Hashable, Sendable {
  /// Whether ICMP may come.
  var letsICMP = false
  /// Protocols without ports that may come.
  var portless = ProtocolSet(EmptyCollection())
  /// Ports that may be asked for; apart from each other and in order.
  var tcp: [NumberSpan<UInt16>] = []
  var udp: [NumberSpan<UInt16>] = []
  var sctp: [NumberSpan<UInt16>] = []

  /// Whether packets of a kind with ports may come to `port`.
  func lets(_ kind: PacketView.Kind, to port: UInt16) -> Bool {
    switch kind {
    case .tcp: tcp.has(port)
    case .udp: udp.has(port)
    case .sctp: sctp.has(port)
    default: false
    }
  }

  /// Adds what a destination of a rule lets in.
  mutating func add(_ protocols: ProtocolSet, _ ports: NumberSpan<UInt16>, byCapability: Bool) {
    if ports.first <= ports.last {
      if protocols.contains(.tcp) { tcp.append(ports) }
      if protocols.contains(.udp) { udp.append(ports) }
      if protocols.contains(.sctp) { sctp.append(ports) }
    }
    guard !byCapability else { return }
    letsICMP = true
    if ports == NumberSpan<UInt16>(first: 0, last: .max) { portless.formUnion(protocols) }
  }

  /// Brings the ports in order; called once, after all was added.
  mutating func finish() {
    tcp = tcp.merged()
    udp = udp.merged()
    sctp = sctp.merged()
  }
}
