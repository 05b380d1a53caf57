// SPDX-License-Identifier: Apache-2.0

import ControlProtocol
import DERP
import Timing

/// TCP as far as it matters here: order, delay, and what happens when the way is gone.
extension World {
  func host(of server: Server) -> HostID {
    switch server {
    case .relay(let index, _): relays[index].host
    case .coordination: coordination.host
    }
  }

  /// Opens a connection: TCP, TLS and the upgrade take three round trips.
  func open(from node: VirtualNode, to server: Server) -> ConnectionID {
    let id = ConnectionID(number: nextConnection)
    nextConnection += 1
    if let route = internet.route(from: node.host, to: host(of: server)) {
      agenda.note(
        .opened(id, node: node.index, server, way: route.generations),
        at: now + route.latency * 6
      )
    } else {
      agenda.note(.refused(node: node.index, server), at: now + .seconds(5))
    }
    return id
  }

  func opened(_ id: ConnectionID, _ node: VirtualNode, _ server: Server, _ way: [Int]) {
    guard !node.isAsleep, internet.route(from: node.host, to: host(of: server))?.generations == way,
      isAwaited(id, node, server)
    else { return refused(node, server) }
    connections[id] = Connection(node: node.index, server: server, way: way)
    switch server {
    case .relay(let index, _): accept(id, at: relays[index])
    case .coordination: greet(id, node)
    }
  }

  func refused(_ node: VirtualNode, _ server: Server) {
    switch server {
    case .relay(_, let region): relayLost(region, of: node, isFailure: true)
    case .coordination: controlLost(node)
    }
  }

  private func isAwaited(_ id: ConnectionID, _ node: VirtualNode, _ server: Server) -> Bool {
    switch server {
    case .relay(_, let region): node.relays[region]?.connection == id
    case .coordination: node.control.connection == id
    }
  }

  /// Sends something over a connection; it arrives, or the connection ends.
  func send(_ payload: Payload, over id: ConnectionID, toNode: Bool) {
    guard var connection = connections[id] else { return }
    guard let latency = latency(of: connection), connection.held.isEmpty else {
      if connection.held.count < Connection.maximumHeld {
        connection.held.append((toNode, payload))
      }
      if connection.stuckSince == nil {
        connection.stuckSince = now
        agenda.note(.retry(id), at: now + .seconds(1))
      }
      connections[id] = connection
      return
    }
    let arrival = max(now + latency, connection.lastArrival[toNode] ?? now)
    connection.lastArrival[toNode] = arrival
    connections[id] = connection
    agenda.note(.arrived(id, toNode: toNode, payload), at: arrival)
  }

  private func latency(of connection: Connection) -> Duration? {
    let node = nodes[connection.node]
    guard !node.isAsleep,
      let route = internet.route(from: node.host, to: host(of: connection.server)),
      route.generations == connection.way
    else { return nil }
    return route.latency
  }

  func retry(_ id: ConnectionID) {
    guard var connection = connections[id], let since = connection.stuckSince else { return }
    guard latency(of: connection) == nil else {
      let held = connection.held
      (connection.held, connection.stuckSince) = ([], nil)
      connections[id] = connection
      for (toNode, payload) in held { send(payload, over: id, toNode: toNode) }
      return
    }
    guard now - since < Connection.patience else { return end(id) }
    agenda.note(.retry(id), at: now + .seconds(1))
  }

  /// Ends a connection; both ends learn of it, one at once and the other if it can be told.
  func end(_ id: ConnectionID, tellsNode: Bool = true) {
    guard let connection = connections.removeValue(forKey: id) else { return }
    agenda.note(
      .ended(id, node: connection.node, connection.server, tellsNode: tellsNode),
      at: now
    )
  }

  func ended(_ id: ConnectionID, _ node: VirtualNode, _ server: Server, tellsNode: Bool) {
    switch server {
    case .relay(let index, let region):
      disconnected(id, at: relays[index])
      if tellsNode, node.relays[region]?.connection == id {
        relayLost(region, of: node, isFailure: true)
      }
    case .coordination:
      coordination.close(id, at: serverMoment)
      hasNews = true
      if tellsNode, node.control.connection == id { controlLost(node) }
    }
  }

  func arrived(_ id: ConnectionID, toNode: Bool, _ payload: Payload) {
    guard let connection = connections[id] else { return }
    let node = nodes[connection.node]
    if toNode, node.isAsleep { return }
    switch (payload, connection.server) {
    case (.bytes(let bytes), .relay(let index, let region)):
      if toNode {
        receive(bytes, from: region, at: node, over: id)
      } else {
        receive(bytes, at: relays[index], over: id)
      }
    case (.report(let report), .coordination): take(report, over: id, of: node)
    case (.map(let response), .coordination): take(response, at: node)
    default: preconditionFailure("a server sends what it sends")
    }
  }
}
