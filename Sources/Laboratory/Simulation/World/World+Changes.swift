// SPDX-License-Identifier: Apache-2.0

import Addressing
import DERP
import Keys
import LocalAPI
import Magicsock
import PacketPipeline
import Timing

/// What happens to the world from outside.
extension World {
  func apply(_ change: Change) {
    tell("\(change)")
    switch change {
    case .roam(let index, let network): roam(nodes[index], to: network)
    case .link(let index, let isUp): setLink(nodes[index], isUp)
    case .conditions(let index, let conditions):
      internet.setAccess(conditions, of: nodes[index].host)
    case .sleep(let index, let sleeps): setAsleep(nodes[index], sleeps)
    case .clock(let index, let jump):
      nodes[index].wallOffset = nodes[index].wallOffset + jump
      configure(nodes[index])
    case .routerRestart(let network): internet.restartRouter(of: realms[network], at: now)
    case .routerMove(let network): moveRouter(of: network)
    case .blockUDP(let network, let blocks):
      internet.change(realms[network]) { $0.blocksUDP = blocks }
    case .mtu(let network, let size): internet.change(realms[network]) { $0.uplink.mtu = size }
    case .uplink(let network, let isUp): internet.change(realms[network]) { $0.isUp = isUp }
    case .cut(let one, let other, let isCut):
      let pair: Set<HostID> = [nodes[one].host, nodes[other].host]
      if isCut { internet.cuts.insert(pair) } else { internet.cuts.remove(pair) }
    case .relay(let index, let isUp): setRelay(relays[index], index, isUp)
    case .coordination(let isUp): setCoordination(isUp)
    case .remove(let index):
      oracle.removed(index, at: now)
      coordination.remove(nodes[index].nodeKey.publicKey, at: serverMoment)
      hasNews = true
    case .shields(let index, let areUp):
      nodes[index].preferences.shieldsUp = areUp
      configure(nodes[index])
    }
  }

  private func roam(_ node: VirtualNode, to network: Int) {
    internet.move(node.host, to: realms[network], addresses: freshAddresses(in: network))
    reconnect(node)
  }

  private func setLink(_ node: VirtualNode, _ isUp: Bool) {
    internet.setUp(isUp, node.host)
    reconnect(node)
  }

  /// A node finds itself on another network, or on none: what it was connected by is void.
  private func reconnect(_ node: VirtualNode) {
    guard !node.isAsleep else { return }
    for (id, connection) in connections.sorted(by: { $0.key < $1.key })
    where connection.node == node.index { end(id) }
    node.control.backoff.reset()
    for region in node.relays.keys { node.relays[region]?.backoff.reset() }
    attach(node, isMajor: true)
  }

  private func setAsleep(_ node: VirtualNode, _ sleeps: Bool) {
    guard node.isAsleep != sleeps else { return }
    node.isAsleep = sleeps
    guard !sleeps else { return }
    node.wakeAt = nil
    node.mapperWakeAt = nil
    for region in node.relays.keys.sorted() where node.relays[region]?.connection == nil {
      withPaths(node) { $0.relayClosed(region, failed: true, at: $1, into: &$2) }
    }
    reconnect(node)
    dialControl(node)
    if let home = node.home, let index = relays.firstIndex(where: { $0.region == home }) {
      dial(node, .relay(index, home))
    }
    node.pipeline.handleTimeouts(at: moment(of: node), into: &node.effects)
    perform(node)
  }

  private func moveRouter(of network: Int) {
    let number = UInt8(network + 1)
    internet.change(realms[network]) { router in
      let old = router.nat.address
      let low = UInt8(truncatingIfNeeded: old.v4Bits) &+ 1
      let isInner = topology.networks[network].above != nil
      let next =
        isInner ? IPAddress(10, number, 0, max(2, low)) : IPAddress(198, 51, number, max(2, low))
      router.nat.move(to: next)
      router.gateway?.startedAt = now
      router.firewall.restart()
      router.generation += 1
    }
  }

  private func setRelay(_ relay: VirtualRelay, _ index: Int, _ isUp: Bool) {
    internet.setUp(isUp, relay.host)
    guard !isUp else { return }
    endAll { if case .relay(index, _) = $0 { true } else { false } }
    relay.restart()
  }

  private func setCoordination(_ isUp: Bool) {
    internet.setUp(isUp, coordination.host)
    guard !isUp else { return }
    endAll { $0 == .coordination }
  }

  private func endAll(_ isOver: (Server) -> Bool) {
    for (id, connection) in connections.sorted(by: { $0.key < $1.key })
    where isOver(connection.server) { end(id) }
  }
}
