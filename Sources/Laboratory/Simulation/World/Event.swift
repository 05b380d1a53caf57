// SPDX-License-Identifier: Apache-2.0

import Addressing
import DERP

/// How a datagram began its way: who sent it, and where to.
struct Launch: Hashable {
  var host: HostID
  var aim: Endpoint
}

/// What happens in the simulated world.
enum Event {
  /// A node wanted to be woken.
  case wake(node: Int)
  /// A datagram reaches a host.
  case datagram(HostID, [UInt8], from: Endpoint, to: Endpoint, Launch)
  /// A connection comes up, if its server is there.
  case opened(ConnectionID, node: Int, Server, way: [Int])
  /// A connection could not be made.
  case refused(node: Int, Server)
  /// Something arrives over a connection.
  case arrived(ConnectionID, toNode: Bool, Payload)
  /// What did not get through is tried again.
  case retry(ConnectionID)
  /// One end learns that the connection is over.
  case ended(ConnectionID, node: Int, Server, tellsNode: Bool)
  /// A node dials a server after a rest.
  case dial(node: Int, Server)
  /// A request of a netcheck is answered, or not.
  case probed(node: Int, id: UInt64, RegionID, Duration?)
  /// The part of a node that asks for ports wanted to be woken.
  case mapperWake(node: Int)
  /// The router before a node answers it.
  case gatewaySays(node: Int, [UInt8], from: IPAddress)
  /// Servers look at their clocks, nodes at their idle connections.
  case tick
  /// Something changes.
  case change(Change)
  /// A node's host sends something to another.
  case talk(from: Int, to: Int, size: Int)
}

/// What changes about the world from outside.
package enum Change: Hashable, Sendable {
  /// A host moves to another network.
  case roam(node: Int, to: Int)
  /// A host's link goes down, or up again.
  case link(node: Int, isUp: Bool)
  /// A host's link becomes worse or better.
  case conditions(node: Int, LinkConditions)
  /// A host sleeps, or wakes.
  case sleep(node: Int, Bool)
  /// A host's wall clock jumps.
  case clock(node: Int, by: Duration)
  /// A router restarts and forgets its table.
  case routerRestart(network: Int)
  /// A router gets another outer address.
  case routerMove(network: Int)
  /// A router lets no UDP through, or does again.
  case blockUDP(network: Int, Bool)
  /// A router's line carries packets of this size and none that are larger, from now on.
  case mtu(network: Int, Int)
  /// A router's line goes down, or up again.
  case uplink(network: Int, isUp: Bool)
  /// No datagram passes between two hosts, or it does again.
  case cut(node: Int, other: Int, Bool)
  /// A relay goes down, or up again.
  case relay(Int, isUp: Bool)
  /// The coordination server goes down, or up again.
  case coordination(isUp: Bool)
  /// A node is removed from the network.
  case remove(node: Int)
  /// A node closes itself to requests, or opens again.
  case shields(node: Int, Bool)
}
