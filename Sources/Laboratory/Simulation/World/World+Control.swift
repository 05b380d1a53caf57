// SPDX-License-Identifier: Apache-2.0

import ControlProtocol
import ControlSession
import Netmap
import NodeConfiguration
import PacketPipeline
import Timing

/// Nodes and the coordination server: reports one way, maps the other.
extension World {
  func dialControl(_ node: VirtualNode) {
    guard node.control.connection == nil else { return }
    node.control.connection = open(from: node, to: .coordination)
  }

  /// The connection is up: the node says who it is and asks for its map.
  func greet(_ id: ConnectionID, _ node: VirtualNode) {
    let report = node.makeReport()
    node.control.lastReport = report
    node.netmap.beginStream()
    send(.report(report), over: id, toNode: false)
  }

  /// Tells the server what is new about a node.
  func report(_ node: VirtualNode) {
    guard let id = node.control.connection, node.control.isConnected else { return }
    let report = node.makeReport()
    guard node.control.lastReport?.saysTheSame(as: report) != true else { return }
    node.control.lastReport = report
    send(.report(report), over: id, toNode: false)
  }

  func take(_ report: NodeReport, over id: ConnectionID, of node: VirtualNode) {
    hasNews = true
    guard coordination.streams[id] == nil else {
      return coordination.take(report, of: node.machineKey, at: serverMoment)
    }
    guard let map = coordination.open(id, report, of: node.machineKey, at: serverMoment) else {
      return end(id)
    }
    send(.map(map), over: id, toNode: true)
  }

  /// Tells every map stream what changed.
  func tellNews() {
    hasNews = false
    for (id, response) in coordination.news(at: serverMoment) {
      send(.map(response), over: id, toNode: true)
    }
  }

  func take(_ response: MapResponse, at node: VirtualNode) {
    node.control.backoff.reset()
    node.control.connectedSince = node.control.connectedSince ?? now
    _ = node.netmap.apply(response, at: moment(of: node).wall)
    configure(node)
    report(node)
  }

  func controlLost(_ node: VirtualNode) {
    guard node.control.connection != nil else { return }
    node.control.connection = nil
    node.control.lastReport = nil
    let wasConnected = node.control.isConnected
    node.control.connectedSince = nil
    let wait = node.control.backoff.next(using: &node.entropy)
    agenda.note(.dial(node: node.index, .coordination), at: now + wait)
    if wasConnected, !node.isAsleep { configure(node) }
  }

  /// Makes a node's data plane what its map and preferences say.
  func configure(_ node: VirtualNode) {
    guard node.netmap.selfNode != nil else { return }
    let moment = moment(of: node)
    let configuration = NodeConfiguration.compile(
      node.netmap,
      node.preferences,
      on: .init(nodeKey: node.nodeKey, isControlConnected: node.control.isConnected),
      at: node.netmap.serverTime(at: moment.wall)
    )
    node.pipeline.apply(configuration.pipeline, at: moment, into: &node.effects)
    perform(node)
  }
}
