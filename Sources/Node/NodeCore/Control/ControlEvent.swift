// SPDX-License-Identifier: Apache-2.0

import ControlProtocol
import ControlSession
import Keys

/// What a control client tells the node.
enum ControlEvent: Sendable {
  /// A person must open this page before the login goes on.
  case openPage(String)
  /// The server knows the node's key; this user owns it.
  case registered(UserProfile)
  /// The node's key has run out; a new one must be made. The client has stopped.
  case keyExpired
  /// The server refuses the login, and says why. The client has stopped.
  case refused(String)
  /// News of the network; the first of a stream says everything.
  case map(MapResponse, isFirst: Bool)
  /// Whether a map stream is open.
  case listening(Bool)
  /// The server cannot be reached, for this reason.
  case unreachable(String)
}

/// The keys with which a node introduces itself.
struct ControlLogin: Hashable, Sendable {
  /// The key in use, or to be registered.
  var nodeKey: NodeKey
  /// The key before it, while it is being replaced.
  var oldNodeKey: NodeKey = .zero
  /// The node's key for the tailnet lock.
  var lockKey: TailnetLockKey = .zero
  /// A key that stands for a person's approval; empty for none.
  var authKey = ""
}
