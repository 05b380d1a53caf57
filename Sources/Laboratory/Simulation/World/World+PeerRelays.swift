// SPDX-License-Identifier: Apache-2.0

import Addressing
import Disco
import Keys
import Magicsock
import Packets
import PeerRelay
import Timing

/// What the driver of a peer relay does: gives it datagrams, and sends what it says.
extension World {
  /// Tells a node's relay how its host is attached to the network.
  func attachRelay(_ node: VirtualNode) {
    let addresses = internet.hosts[node.host.index].addresses
    node.relay?.attach(
      local: addresses.map { Endpoint($0, port: VirtualNode.relayPort) },
      explicit: [],
      servers: relays.map {
        Endpoint(internet.hosts[$0.host.index].addresses[0], port: VirtualRelay.stunPort)
      },
      at: now
    )
  }

  /// Lets a node's relay do what is due.
  func tickRelay(_ node: VirtualNode) {
    guard node.relay != nil else { return }
    node.relay?.handleTimeouts(at: now)
    for send in node.relay?.sends ?? [] {
      launch(send.bytes, byRelayOf: node, to: send.destination)
    }
    node.relay?.sends = []
  }

  /// Gives out a network, if there is one to be had.
  func allocate(_ request: RelayRequest, at node: VirtualNode) {
    guard let allocation = node.relay?.allocate(request.clients, at: now) else { return }
    withPaths(node) { $0.relayAllocated(allocation, for: request, at: $1, into: &$2) }
  }

  func receive(
    _ bytes: [UInt8],
    atRelayOf node: VirtualNode,
    from source: Endpoint,
    to own: Endpoint,
    _ launch: Launch
  ) {
    let sender = nodesByHost[launch.host]
    if let sender { oracle.reached(launch.aim, by: sender) }
    var copy = bytes
    switch copy.withPacketBytes({ RelayedKind(of: $0) }) {
    case .control:
      guard let reply = node.relay?.receive(bytes, from: source, at: now) else { return }
      if reply.count > bytes.count { oracle.note("node\(node.index) answered with more", at: now) }
      self.launch(reply, by: node.host, from: own, to: source)
    case .stun: node.relay?.receiveSTUN(bytes, at: now)
    case .data(let network):
      guard
        let next = node.relay?.forward(
          network,
          from: source,
          packets: 1,
          bytes: bytes.count,
          at: now
        )
      else { return }
      node.economy.carriedBytes += bytes.count
      let session = node.relay?.report(at: now).first { $0.network == network }
      if let sender, let session,
        ![session.first.key, session.second.key].contains(nodes[sender].discoKey.publicKey)
      {
        oracle.note(
          "node\(node.index) carried what node\(sender) sent in a foreign network",
          at: now
        )
      }
      self.launch(bytes, byRelayOf: node, to: next)
    case .other: break
    }
  }

  private func launch(_ bytes: [UInt8], byRelayOf node: VirtualNode, to endpoint: Endpoint) {
    let addresses = internet.hosts[node.host.index].addresses
    guard let own = addresses.first(where: { $0.family == endpoint.address.family }) else { return }
    launch(bytes, by: node.host, from: Endpoint(own, port: VirtualNode.relayPort), to: endpoint)
  }
}
