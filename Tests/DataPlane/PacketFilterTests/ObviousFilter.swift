// SPDX-License-Identifier: Apache-2.0

import Addressing
import PacketFilter
import Packets

/// The filter as the specification reads: every rule is asked, one after another.
///
/// Slow and plain, so that it can be compared with the text; the compiled filter is compared with it.
struct ObviousFilter {
  var localNetworks: AddressSet
  var rules: [Rule]
  var capabilityHolders: [String: Set<IPAddress>] = [:]

  func accepts(_ view: PacketView, flows: inout FlowTable) -> Bool {
    guard view.kind != .malformed, !view.destination.isMulticast,
      !view.destination.isLinkLocal || view.destination == IPAddress(169, 254, 169, 254),
      localNetworks.contains(view.destination)
    else { return false }
    switch view.kind {
    case .malformed: return false
    case .fragment, .tsmp: return true
    case .tcp: return !view.isSYN || allowsPort(view)
    case .udp, .sctp: return flows.use(Flow(view)) || allowsPort(view)
    case .icmp: return view.isEchoReply || view.isICMPError || allowsICMP(view)
    case .other: return allowsOther(view)
    }
  }

  private func allowsPort(_ view: PacketView) -> Bool {
    concerning(view).contains { rule in
      rule.protocols.contains(view.proto)
        && (rule.sources.contains(view.source) || isCapable(view.source, rule))
        && rule.destinations.contains {
          $0.firstPort <= view.destinationPort && view.destinationPort <= $0.lastPort
            && $0.addresses.contains(view.destination)
        }
    }
  }

  private func allowsICMP(_ view: PacketView) -> Bool {
    concerning(view).contains { rule in
      isCapable(view.source, rule)
        || rule.sources.contains(view.source)
          && rule.destinations.contains { $0.addresses.contains(view.destination) }
    }
  }

  private func allowsOther(_ view: PacketView) -> Bool {
    concerning(view).contains { rule in
      rule.protocols.contains(view.proto) && rule.sources.contains(view.source)
        && rule.destinations.contains {
          $0.firstPort == 0 && $0.lastPort == .max && $0.addresses.contains(view.destination)
        }
    }
  }

  /// The rules that are there at all in the family of the packet.
  private func concerning(_ view: PacketView) -> [Rule] {
    let family = view.source.family
    return rules.filter { rule in
      (rule.sources.hasAny(of: family) || !rule.sourceCapabilities.isEmpty)
        && rule.destinations.contains { $0.addresses.hasAny(of: family) }
    }
  }

  private func isCapable(_ source: IPAddress, _ rule: Rule) -> Bool {
    rule.sourceCapabilities.contains { capabilityHolders[$0]?.contains(source) == true }
  }
}
