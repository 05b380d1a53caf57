// SPDX-License-Identifier: Apache-2.0

import Addressing
import ControlProtocol
import PacketFilter

/// The packet filter and the grants that follow from the rules of the netmap.
struct FilterRules {
  /// What may open flows.
  let rules: [Rule]
  /// What applications may do for whom.
  let grants: [PeerCapabilities.Grant]
  /// Texts that could not be read; they allow nothing.
  let problems: [AddressTextError]

  /// Reads the rules.
  ///
  /// The obsolete form with `SrcBits` or `Bits` makes the whole list allow nothing: what an old
  /// server meant by it cannot be told from what it would mean now.
  init(_ list: [FilterRule]) {
    guard !list.contains(where: { !$0.srcBits.isEmpty || $0.dstPorts.contains { $0.bits != nil } })
    else {
      (rules, grants, problems) = ([], [], [.unreadable("SrcBits")])
      return
    }
    var problems: [AddressTextError] = []
    var rules: [Rule] = []
    var grants: [PeerCapabilities.Grant] = []
    for rule in list {
      if !rule.dstPorts.isEmpty {
        rules.append(
          Rule(
            sources: rule.srcIPs,
            destinations: rule.dstPorts.map {
              (address: $0.ip, firstPort: $0.ports.first, lastPort: $0.ports.last)
            },
            protocols: rule.ipProto,
            problems: &problems
          )
        )
      }
      for grant in rule.capGrant {
        grants += Self.grants(of: grant, to: Self.sources(rule.srcIPs, &problems))
      }
    }
    (self.rules, self.grants, self.problems) = (rules, grants, problems)
  }

  private static func sources(
    _ texts: [String],
    _ problems: inout [AddressTextError]
  ) -> AddressSet {
    var set = AddressSet()
    for text in texts {
      do {
        // Grants go to addresses only, never to the holders of a capability.
        if case .addresses(let addresses) = try AddressText(text) { set.formUnion(addresses) }
      } catch {
        problems.append(error)
      }
    }
    return set
  }

  private static func grants(
    of grant: CapGrant,
    to sources: AddressSet
  ) -> [PeerCapabilities.Grant] {
    let destinations = AddressSet(grant.dsts)
    let named = grant.caps.map { (name: $0, values: [[UInt8]]()) }
    let valued = grant.capMap.sorted { $0.key < $1.key }.map { (name: $0.key, values: $0.value) }
    return (named + valued).map {
      PeerCapabilities.Grant(
        sources: sources,
        destinations: destinations,
        name: $0.name,
        values: $0.values
      )
    }
  }
}
