// SPDX-License-Identifier: Apache-2.0

package import Addressing

/// How a node is mapped by its gateway, and what the gateway offers.
package struct PortMappingReport: LocalRecord {
  /// A port that a gateway forwards to this node.
  package struct Mapping: LocalRecord {
    /// By which service: pcp, pmp or upnp.
    package var service = ""
    /// Where the world reaches this node, as the gateway says.
    package var endpoint: Endpoint?
    /// Its port.
    package var port: UInt16 = 0
    /// The port of this node.
    package var internalPort: UInt16 = 0
    /// Whether the gateway stands behind another NAT itself.
    package var isDoubleNAT = false

    /// No mapping.
    package init() {}

    package static let fields: LocalFields<Self> = [
      LocalField("Service", \.service), LocalField("Endpoint", text: \.endpoint),
      LocalField("Port", \.port), LocalField("InternalPort", \.internalPort),
      LocalField("DoubleNAT", \.isDoubleNAT),
    ]
  }

  /// The services that may be used.
  package var allowed: [String] = []
  /// The gateway that is asked; nil where there is none that could map.
  package var gateway: IPAddress?
  /// This node's address in the gateway's network.
  package var own: IPAddress?
  /// Whether the gateway speaks UPnP.
  package var upnp: Bool?
  /// Whether the gateway speaks NAT-PMP.
  package var pmp: Bool?
  /// Whether the gateway speaks PCP.
  package var pcp: Bool?
  /// What the gateway forwards; nil for nothing.
  package var mapping: Mapping?
  /// What was dropped, by reason.
  package var dropped: [String: Int64] = [:]
  /// What happened lately, the newest last.
  package var events: [String] = []

  /// Nothing known.
  package init() {}

  package static let fields: LocalFields<Self> = [
    LocalField("Allowed", \.allowed), LocalField("Gateway", text: \.gateway),
    LocalField("Self", text: \.own), LocalField("UPnP", \.upnp), LocalField("PMP", \.pmp),
    LocalField("PCP", \.pcp), LocalField("Mapping", \.mapping), LocalField("Dropped", \.dropped),
    LocalField("Events", \.events),
  ]

  /// The report for people.
  package var text: String {
    guard !allowed.isEmpty else { return "port mapping is switched off\n" }
    guard let gateway, let own else {
      return "no gateway that could map a port: this host has a public address, or no IPv4 router\n"
    }
    var lines = ["gateway: \(gateway), self: \(own)"]
    for (name, found) in [("PCP", pcp), ("NAT-PMP", pmp), ("UPnP", upnp)] {
      lines.append("\(name): \(found.map { $0 ? "yes" : "no answer" } ?? "not asked")")
    }
    lines += events
    if let mapping, let endpoint = mapping.endpoint {
      lines.append("mapping: \(endpoint) to port \(mapping.internalPort), by \(mapping.service)")
      if mapping.isDoubleNAT {
        lines.append(
          "the gateway stands behind another NAT: its address \(endpoint.address) is not public, and "
            + "only peers in its own network may use it"
        )
      }
    } else {
      lines.append("mapping: none")
    }
    for (reason, count) in dropped.sorted(by: { $0.key < $1.key }) where count > 0 {
      lines.append("dropped: \(count) \(reason)")
    }
    return lines.joined(separator: "\n") + "\n"
  }
}
