// SPDX-License-Identifier: Apache-2.0

import ControlProtocol
import ControlSession
import DERP
import Timing

/// A TCP connection between a node and a server.
struct ConnectionID: Hashable, Comparable, Sendable {
  let number: Int
  static func < (left: ConnectionID, right: ConnectionID) -> Bool { left.number < right.number }
}

/// What a node connects to.
enum Server: Hashable, Sendable {
  case relay(Int, RegionID)
  case coordination
}

/// What travels over a connection.
enum Payload {
  case bytes([UInt8])
  case report(NodeReport)
  case map(MapResponse)
}

/// One connection: bytes arrive in order, or not at all once its way is gone.
struct Connection {
  /// How long an end waits for the other to acknowledge what it sent.
  static let patience = Duration.seconds(15)
  /// How many sendings one end holds while nothing gets through.
  static let maximumHeld = 256

  let node: Int
  let server: Server
  /// The way that it was opened over: without it nothing passes.
  let way: [Int]
  var lastArrival: [Bool: Instant] = [:]
  var held: [(toNode: Bool, payload: Payload)] = []
  var stuckSince: Instant?
}
