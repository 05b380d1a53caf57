// SPDX-License-Identifier: Apache-2.0

package import Addressing

/// Which of the nodes that serve a subnet others reach it through.
///
/// One router serves a subnet at a time, and goes on as long as it is connected: who comes back takes
/// nothing away. When it goes, the connected one with the lowest number takes over; when none is
/// connected, it stays where it was.
package struct RouteTable: Sendable {
  private var routers: [IPPrefix: [NodeID: Bool]] = [:]
  private var served: [NodeID: [IPPrefix]] = [:]
  private var elected: [IPPrefix: NodeID] = [:]

  /// Nobody serves anything.
  package init() {}

  /// The router of a subnet.
  package func primary(of prefix: IPPrefix) -> NodeID? { elected[prefix] }

  /// The subnets that others reach through a node, in order.
  package func primaries(of node: NodeID) -> [IPPrefix] {
    (served[node] ?? []).filter { elected[$0] == node }
  }

  /// The routers of subnets that several serve.
  package var shared: Set<NodeID> {
    var nodes: Set<NodeID> = []
    for candidates in routers.values where candidates.count > 1 {
      nodes.formUnion(candidates.keys)
    }
    return nodes
  }

  /// A node serves these subnets from now on, and is connected or not.
  ///
  /// - Returns: The nodes that others reach other subnets through than before, in order.
  package mutating func set(
    _ node: NodeID,
    serves prefixes: [IPPrefix],
    isConnected: Bool
  ) -> [NodeID] {
    let before = served[node] ?? []
    guard !before.isEmpty || !prefixes.isEmpty else { return [] }
    for prefix in before where !prefixes.contains(prefix) {
      routers[prefix]?[node] = nil
      if routers[prefix]?.isEmpty ?? false { routers[prefix] = nil }
    }
    for prefix in prefixes { routers[prefix, default: [:]][node] = isConnected }
    served[node] = prefixes.isEmpty ? nil : prefixes.sorted()
    var changed: Set<NodeID> = []
    for prefix in Set(before + prefixes) {
      let old = elected[prefix]
      let new = choice(for: prefix, after: old)
      guard new != old else { continue }
      elected[prefix] = new
      changed.formUnion([old, new].compactMap { $0 })
    }
    return changed.sorted()
  }

  /// Goes on with the routers of another table, where they still serve.
  package mutating func adopt(_ other: RouteTable) {
    for (prefix, node) in other.elected where routers[prefix]?[node] != nil {
      elected[prefix] = node
    }
  }

  private func choice(for prefix: IPPrefix, after old: NodeID?) -> NodeID? {
    guard let candidates = routers[prefix] else { return nil }
    if let old, candidates[old] == true { return old }
    let connected = candidates.filter(\.value).keys.min()
    if let connected { return connected }
    if let old, candidates[old] != nil { return old }
    return candidates.keys.min()
  }
}
