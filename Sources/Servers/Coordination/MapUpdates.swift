// SPDX-License-Identifier: Apache-2.0

package import ControlProtocol
package import Keys

/// What a node that asks for its map is answered.
package enum MapOutcome: Sendable {
  /// It is this node, and what it told is taken over.
  case accepted(NodeID)
  /// No such node lives on this machine.
  case unknownNode
  /// The request makes no sense; the reason is for the client's log.
  case malformed(String)
}

extension Tailnet {
  /// How many endpoints of one node are kept.
  package static let maximumEndpoints = 64

  /// Takes over what a map request tells of its node: endpoints, host, discovery key.
  ///
  /// The node must live on the machine whose connection the request came over.
  package mutating func update(
    by request: MapRequest,
    from machine: MachineKey,
    at now: Moment,
    into effects: inout Effects
  ) -> MapOutcome {
    guard !request.nodeKey.isZero else { return .malformed("The request names no node key.") }
    guard var node = node(with: request.nodeKey), node.machineKey == machine else {
      return .unknownNode
    }
    let before = node
    if !request.discoKey.isZero, node.discoKey != request.discoKey {
      node.discoKey = request.discoKey
      // Clients take a new discovery key only with news of when its node was seen.
      if !isOnline(node.id) { node.lastSeen = now.time }
    }
    if request.version > 0 { node.capabilityVersion = request.version }
    // A stream that comes with no endpoints tells nothing about them; an update does.
    if !request.stream || !request.endpoints.isEmpty {
      node.endpoints = Array(request.endpoints.prefix(Self.maximumEndpoints))
      node.endpointTypes = Array(request.endpointTypes.prefix(node.endpoints.count))
      droppedEndpoints += request.endpoints.count - node.endpoints.count
    }
    if let hostinfo = request.hostinfo { adopt(hostinfo, in: &node) }
    if node.hostinfo.routableIPs != before.hostinfo.routableIPs {
      node.approvedRoutes = approvedRoutes(of: node)
    }
    if node != before { put(node, at: now, into: &effects) }
    return .accepted(node.id)
  }
}
