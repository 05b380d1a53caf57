// SPDX-License-Identifier: Apache-2.0

/// An entry of `nodeAttrs` with its devices.
struct AttributeGrant: Hashable, Sendable {
  var nodes: [NodeID]
  var values: [String: [[UInt8]]]

  /// What the attribute `funnel` brings along: which ports, and that certificates are not ours.
  private static let funnel = [
    "https://tailscale.com/cap/funnel-ports?ports=443,8443,10000",
    "https://tailscale.com/cap/warn-funnel-no-https",
  ]

  static func compile(_ resolver: inout Resolver) -> [AttributeGrant] {
    var grants: [AttributeGrant] = []
    for entry in resolver.document.attributes {
      var nodes: [[NodeID]] = []
      for target in entry.targets {
        if let identity = resolver.identity(target.value) {
          nodes.append(identity)
        } else {
          let ranges = resolver.spelled(target.value) ?? []
          // A device is meant by its own addresses, not by a subnet that it serves.
          nodes.append(
            resolver.nodes(at: .ranges(ranges)).filter { node in
              resolver.device(node)?.addresses.contains { address in
                ranges.contains { $0.contains(address) }
              } ?? false
            }
          )
        }
      }
      var values = entry.capabilities
      for name in entry.names {
        values[name] = values[name] ?? []
        if name == "funnel" { for more in funnel { values[more] = [] } }
      }
      grants.append(AttributeGrant(nodes: .union(nodes), values: values))
    }
    return grants
  }
}
