// SPDX-License-Identifier: Apache-2.0

import Glibc
import HTTPTransport
import LocalAPI
import Synchronization
import Testing

@testable import NodeAPIs

@Suite("Who may do what over the LocalAPI")
struct PermissionTests {
  /// Every request that changes something, or tells what only the owner may know.
  static let writes = [
    ("PATCH", "prefs", #"{"Hostname":"x","HostnameSet":true}"#), ("POST", "check-prefs", "{}"),
    ("POST", "start", #"{"AuthKey":"k"}"#), ("POST", "login-interactive", ""),
    ("POST", "logout", ""), ("GET", "profiles/", ""), ("GET", "profiles/current", ""),
    ("PUT", "profiles/", ""), ("DELETE", "profiles/1ab3", ""), ("GET", "metrics", ""),
  ]

  @Test(
    "Nobody but root, the daemon's user and the operator changes anything",
    arguments: [Caller.nobody, nil]
  )
  func strangers(caller: PeerCredentials?) async {
    let node = FakeNode()
    for (method, path, body) in Self.writes {
      let answer = await handler(node).respond(to: request(method, path, by: caller, body: body))
      #expect(answer.status == 403, "\(method) \(path)")
      #expect(answer.text.hasSuffix("access denied\n"))
    }
    #expect(node.acts.isEmpty)
    #expect(node.state.withLock { $0.preferences } == Preferences())
  }

  @Test("Everybody may read", arguments: [Caller.nobody, nil])
  func readers(caller: PeerCredentials?) async {
    for path in [
      "status", "prefs", "usermetrics", "derpmap", "watch-ipn-bus", "debug-peer-relay-sessions",
    ] {
      let answer = await handler(FakeNode()).respond(to: request("GET", path, by: caller))
      #expect(answer.status == 200, "\(path)")
    }
  }

  @Test("Root may write")
  func root() async {
    let node = FakeNode()
    let answer = await handler(node).respond(to: request("POST", "logout"))
    #expect(answer.status == 204)
    #expect(node.acts == ["logout"])
  }

  @Test("The user named as operator may write, and no longer once another is named")
  func operators() async {
    let node = FakeNode()
    node.state.withLock { $0.preferences.operatorUser = "nobody" }
    let logout = request("POST", "logout", by: Caller.nobody)
    #expect(await handler(node).respond(to: logout).status == 204)
    node.state.withLock { $0.preferences.operatorUser = "daemon" }
    #expect(await handler(node).respond(to: logout).status == 403)
  }

  @Test(
    "An operator written as a number, or unknown, is nobody",
    arguments: ["65534", "no-such", ""]
  )
  func numbers(name: String) {
    let actor = LocalActor(Caller.nobody, daemonUserID: 0, operatorUser: name)
    #expect(!actor.mayWrite)
  }

  @Test("The daemon's own user may write when it is not root")
  func ownUser() {
    let own = LocalActor(Caller.nobody, daemonUserID: 65_534, operatorUser: "")
    #expect(own.mayWrite)
    let other = LocalActor(
      PeerCredentials(processID: 1, userID: 1000, groupID: 1000),
      daemonUserID: 65_534,
      operatorUser: ""
    )
    #expect(!other.mayWrite)
  }

  @Test("Readers cannot take the last places of the bus from the owner")
  func places() async {
    let handler = handler(FakeNode())
    var held: [HTTPResponse] = []
    for _ in 0..<(WatcherPlaces.maximum - WatcherPlaces.kept) {
      held.append(
        await handler.respond(to: request("GET", "watch-ipn-bus", by: Caller.nobody))
      )
    }
    #expect(held.allSatisfy { $0.status == 200 })
    let late = await handler.respond(to: request("GET", "watch-ipn-bus", by: Caller.nobody))
    #expect(late.status == 503)
    let owner = await handler.respond(to: request("GET", "watch-ipn-bus"))
    #expect(owner.status == 200)
    held.removeAll()
    let again = await handler.respond(to: request("GET", "watch-ipn-bus", by: Caller.nobody))
    #expect(again.status == 200)
    withExtendedLifetime((owner, again)) { #expect(handler.watchers.count == 2) }
  }
}
