// SPDX-License-Identifier: Apache-2.0

import ControlProtocol
import ControlSession
import Testing

@Suite("What the server wants done")
struct ServerOrdersTests {
  @Test("A ping is answered once for its address, also when it comes with a sign of life")
  func pings() {
    var orders = ServerOrders()
    func ping(_ url: String) -> MapResponse {
      response { ($0.keepAlive, $0.pingRequest) = (true, PingRequest(url: url, types: "disco")) }
    }
    let taken = ["https://a/1", "https://a/1", "https://a/2", "", "https://a/1"].map {
      orders.take(from: ping($0))
    }
    #expect(taken.map(\.count) == [1, 0, 1, 0, 1])
    #expect(taken[0] == [.ping(PingRequest(url: "https://a/1", types: "disco"))])
    #expect(orders.refused == 1)
  }

  @Test("A page is shown once, and only when it is one to show")
  func pages() throws {
    var orders = ServerOrders()
    let page = try #require(LoginPage("https://a/b"))
    let first = orders.take(from: response { $0.popBrowserURL = "https://a/b" })
    #expect(first == [.openPage(page)])
    let second = orders.take(from: response { $0.popBrowserURL = "https://a/b" })
    #expect(second == [])
    for _ in 0..<2 {
      let bad = orders.take(from: response { $0.popBrowserURL = "file:///x" })
      #expect(bad == [])
    }
    #expect(orders.refused == 1)
  }

  @Test("A pause is bounded, and logs are switched off once")
  func debug() {
    var orders = ServerOrders()
    func debug(_ debug: MapResponse.Debug) -> [ServerOrder] {
      orders.take(from: response { $0.debug = debug })
    }
    #expect(debug(.init(sleepSeconds: 1.5)) == [.pause(.seconds(1.5))])
    #expect(debug(.init(sleepSeconds: 1e300)) == [.pause(.seconds(300))])
    #expect(debug(.init(sleepSeconds: -1e300)) == [])
    #expect(debug(.init(sleepSeconds: .infinity)) == [.pause(.seconds(300))])
    #expect(debug(.init(sleepSeconds: .nan)) == [])
    #expect(debug(.init(disableLogTail: true, exit: 3)) == [.disableLogs, .exit(3)])
    #expect(debug(.init(disableLogTail: true)) == [])
  }

  @Test("A sign of life asks for nothing but pings and pages")
  func keepAlive() {
    var orders = ServerOrders()
    let taken = orders.take(
      from: response { ($0.keepAlive, $0.debug) = (true, MapResponse.Debug(exit: 1)) }
    )
    #expect(taken == [])
  }
}
