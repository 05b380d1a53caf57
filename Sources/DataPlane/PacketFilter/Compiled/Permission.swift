// SPDX-License-Identifier: Apache-2.0

import Packets

/// Ports from `first` to `last`.
struct PortSpan: Hashable, Sendable {
  var first: UInt16
  var last: UInt16
}

/// What the rules between a list of sources and a list of destinations let in.
struct Permission: Hashable, Sendable {
  /// Whether ICMP may come.
  var letsICMP = false
  /// Protocols without ports that may come.
  var portless = ProtocolSet(EmptyCollection())
  /// Ports that may be asked for; apart from each other and in order.
  var tcp: [PortSpan] = []
  var udp: [PortSpan] = []
  var sctp: [PortSpan] = []

  /// Whether packets of a kind with ports may come to `port`.
  func lets(_ kind: PacketView.Kind, to port: UInt16) -> Bool {
    switch kind {
    case .tcp: Self.contains(port, in: tcp)
    case .udp: Self.contains(port, in: udp)
    case .sctp: Self.contains(port, in: sctp)
    default: false
    }
  }

  /// Adds what a destination of a rule lets in.
  mutating func add(_ protocols: ProtocolSet, _ ports: PortSpan, byCapability: Bool) {
    if ports.first <= ports.last {
      if protocols.contains(.tcp) { tcp.append(ports) }
      if protocols.contains(.udp) { udp.append(ports) }
      if protocols.contains(.sctp) { sctp.append(ports) }
    }
    guard !byCapability else { return }
    letsICMP = true
    if ports == PortSpan(first: 0, last: .max) { portless.formUnion(protocols) }
  }

  /// Brings the ports in order; called once, after all was added.
  mutating func finish() {
    tcp = Self.merged(tcp)
    udp = Self.merged(udp)
    sctp = Self.merged(sctp)
  }

  private static func merged(_ spans: [PortSpan]) -> [PortSpan] {
    var result: [PortSpan] = []
    for span in spans.sorted(by: { $0.first < $1.first }) {
      if let last = result.last, last.last == .max || span.first <= last.last + 1 {
        result[result.count - 1].last = max(last.last, span.last)
      } else {
        result.append(span)
      }
    }
    return result
  }

  private static func contains(_ port: UInt16, in spans: [PortSpan]) -> Bool {
    var low = 0
    var high = spans.count
    while low < high {
      let middle = (low + high) / 2
      if port > spans[middle].last { low = middle + 1 } else { high = middle }
    }
    return low < spans.count && spans[low].first <= port
  }
}
