// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// What a relay has seen besides packets, since it started.
final class RelayFacts: Sendable {
  /// Connections that became a WebSocket.
  let webSocketAccepts = Atomic(0)
}
