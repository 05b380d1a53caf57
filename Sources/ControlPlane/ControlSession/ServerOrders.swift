// SPDX-License-Identifier: Apache-2.0

package import ControlProtocol

/// Something that the coordination server wants done once.
package enum ServerOrder: Hashable, Sendable {
  /// Ping something, or answer a question.
  case ping(PingRequest)
  /// Show a page to the person at this machine.
  case openPage(LoginPage)
  /// Wait before the next message is read.
  case pause(Duration)
  /// Send no logs.
  case disableLogs
  /// End the program with this code.
  case exit(Int)
}

/// Takes the orders out of map responses, each only once.
///
/// Outlives the streams: a server repeats itself on a new one.
package struct ServerOrders: Sendable {
  /// How long a server may make a node wait.
  package static let longestPause = Duration.seconds(300)

  /// How many orders made no sense.
  package private(set) var refused = 0

  private var lastPing = ""
  private var lastPage = ""
  private var areLogsDisabled = false

  /// Nothing was ordered yet.
  package init() {}

  /// What is new in `response`, in the order in which it is to be done.
  package mutating func take(from response: MapResponse) -> [ServerOrder] {
    var orders: [ServerOrder] = []
    if let ping = response.pingRequest, isNew(ping) { orders.append(.ping(ping)) }
    if let page = newPage(response.popBrowserURL) { orders.append(.openPage(page)) }
    // A sign of life asks for nothing else.
    guard let debug = response.debug, !response.keepAlive else { return orders }
    if debug.disableLogTail, !areLogsDisabled {
      areLogsDisabled = true
      orders.append(.disableLogs)
    }
    if debug.sleepSeconds > 0 {
      orders.append(.pause(min(.seconds(min(debug.sleepSeconds, 1e6)), Self.longestPause)))
    }
    if let code = debug.exit { orders.append(.exit(code)) }
    return orders
  }

  private mutating func isNew(_ ping: PingRequest) -> Bool {
    guard !ping.url.isEmpty else {
      refused += 1
      return false
    }
    defer { lastPing = ping.url }
    return ping.url != lastPing
  }

  private mutating func newPage(_ address: String) -> LoginPage? {
    guard !address.isEmpty, address != lastPage else { return nil }
    lastPage = address
    guard let page = LoginPage(address) else {
      refused += 1
      return nil
    }
    return page
  }
}
