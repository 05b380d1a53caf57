// SPDX-License-Identifier: Apache-2.0

import Addressing
import Magicsock
import PortMapping
import Timing

/// What the driver of a node's port mapper does.
extension World {
  /// The address of the router before a host; nil where there is none.
  private func gateway(of node: VirtualNode) -> GatewayAttachment? {
    let host = internet.hosts[node.host.index]
    guard host.isUp, host.realm != .internet, let own = host.addresses.first(where: \.isV4) else {
      return nil
    }
    let gateway = IPAddress(v4: own.masked(to: 24).v4Bits | 1)
    return GatewayAttachment(gateway: gateway, own: own)
  }

  /// Tells the port mapper which router stands before its node.
  func attachMapper(of node: VirtualNode) {
    let attachment = gateway(of: node)
    withMapper(of: node) { mapper, now, effects in
      mapper.attach(to: attachment, port: VirtualNode.port, at: now, into: &effects)
      mapper.want(true, at: now, into: &effects)
    }
  }

  func withMapper(
    of node: VirtualNode,
    _ body: (inout PortMapper, Instant, inout PortMapperEffects) -> Void
  ) {
    var effects = PortMapperEffects()
    body(&node.mapper, now, &effects)
    perform(effects, of: node)
  }

  func wakeMapper(of node: VirtualNode) {
    guard let due = node.mapperWakeAt, due <= now, !node.isAsleep else { return }
    node.mapperWakeAt = nil
    node.economy.mapperWakeups += 1
    withMapper(of: node) { $0.handleTimeouts(at: $1, into: &$2) }
  }

  func receive(_ bytes: [UInt8], from gateway: IPAddress, by node: VirtualNode) {
    guard !node.isAsleep, internet.hosts[node.host.index].isUp else { return }
    let source = Endpoint(gateway, port: VirtualGateway.port)
    withMapper(of: node) { $0.receive(bytes, from: source, at: $1, into: &$2) }
  }

  private func perform(_ effects: PortMapperEffects, of node: VirtualNode) {
    for send in effects.sends {
      node.economy.mapperMessages += 1
      guard let attachment = gateway(of: node),
        send.destination == Endpoint(attachment.gateway, port: VirtualGateway.port),
        let (answer, delays) = internet.askRouter(of: node.host, send.bytes, at: now)
      else { continue }
      for delay in delays {
        let event = Event.gatewaySays(node: node.index, answer, from: attachment.gateway)
        agenda.note(event, at: now + delay)
      }
    }
    for note in effects.notes { tell("node\(node.index): \(note)") }
    for mapping in effects.changes {
      oracle.mapped(mapping, by: node.index, at: now)
      withPaths(node) { $0.portMapped(to: mapping?.external, at: $1, into: &$2) }
    }
    guard let next = node.mapper.nextTimeout, node.mapperWakeAt.map({ next < $0 }) ?? true else {
      return
    }
    node.mapperWakeAt = max(next, now)
    agenda.note(.mapperWake(node: node.index), at: max(next, now))
  }
}
