// SPDX-License-Identifier: Apache-2.0

import Addressing
import ControlProtocol
import Cryptography
import HTTPTransport
import JSON
import Keys
import LocalAPI
import Synchronization
import Testing

@testable import NodeAPIs

@Suite("The paths of the LocalAPI")
struct RoutesTests {
  private func ask(
    _ node: FakeNode,
    _ method: String,
    _ path: String,
    _ body: String = ""
  ) async -> HTTPResponse {
    await handler(node).respond(to: request(method, path, body: body))
  }

  @Test(
    "What is not served is not found",
    arguments: [
      "/", "/localapi", "/localapi/v1/status", "nothing", "status/", "profiles", "../status",
    ]
  )
  func unknown(path: String) async {
    let answer = await ask(FakeNode(), "GET", path)
    #expect(path == "/" ? answer.text == "martletd\n" : answer.status == 404)
  }

  @Test("Status comes with peers unless they are not wanted")
  func status() async throws {
    let node = FakeNode()
    node.state.withLock { $0.status.peers = [.zero: PeerStatus()] }
    let all = try await ask(node, "GET", "status").tree()
    #expect(all["Peer"]?.object?.count == 1)
    let alone = try await ask(node, "GET", "status?peers=false").tree()
    #expect(alone["Peer"] == .null)
    #expect(await ask(node, "GET", "status").text.hasPrefix("{\n\t\"Version\": "))
  }

  @Test("Preferences are told without private keys")
  func secrets() async throws {
    let node = FakeNode()
    var entropy = Entropy(seed: 1)
    let key = NodePrivateKey.generate(using: &entropy)
    node.state.withLock {
      $0.preferences.config = LoginIdentity()
      $0.preferences.config?.privateNodeKey = key
      $0.preferences.config?.oldPrivateNodeKey = key
    }
    let digits = key.text.dropFirst("privkey:".count)
    #expect(await !ask(node, "GET", "prefs").text.contains(digits))
    let edited = await ask(node, "PATCH", "prefs", #"{"Hostname":"a","HostnameSet":true}"#)
    #expect(edited.status == 200)
    #expect(!edited.text.contains(digits))
    #expect(try edited.tree()["Hostname"]?.string == "a")
    #expect(node.acts == ["edit Hostname"])
  }

  @Test(
    "An edit that cannot be made is refused with its reason",
    arguments: [
      (#"{"RunSSH":true,"RunSSHSet":true}"#, "the SSH server is not served yet (RunSSH)"),
      (#"{"ExitNodeID":"n1","ExitNodeIDSet":true}"#, "using an exit node is not served yet"),
      (#"{"Hostname":"-","HostnameSet":true}"#, "is not a host name"),
      (#"{"ControlURL":"ftp://x","ControlURLSet":true}"#, "is not the URL"),
      (#"{"InternalExitNodePrior":"x","InternalExitNodePriorSet":true}"#, "can't set Internal"),
    ]
  )
  func refusedEdits(body: String, reason: String) async throws {
    let node = FakeNode()
    let answer = await ask(node, "PATCH", "prefs", body)
    #expect(answer.status == 400)
    #expect(try answer.tree()["Error"]?.string?.contains(reason) == true)
    #expect(node.acts.isEmpty)
  }

  @Test("What was stored by another program stays without complaint")
  func storedBefore() async {
    let node = FakeNode()
    node.state.withLock { $0.preferences.runSSH = true }
    let answer = await ask(node, "PATCH", "prefs", #"{"Hostname":"b","HostnameSet":true}"#)
    #expect(answer.status == 200)
  }

  @Test(
    "A body that is no JSON object is refused",
    arguments: ["", "{", "[]", "nul", "{}{}", "{\"A\":}", "\u{0}"],
    [("PATCH", "prefs"), ("POST", "check-prefs"), ("POST", "start")]
  )
  func damagedBodies(body: String, path: (String, String)) async {
    let node = FakeNode()
    #expect(await ask(node, path.0, path.1, body).status == 400)
    #expect(node.acts.isEmpty)
  }

  @Test("A preference of the wrong type is refused")
  func wrongType() async {
    let node = FakeNode()
    let answer = await ask(node, "PATCH", "prefs", #"{"Hostname":1,"HostnameSet":true}"#)
    #expect(answer.status == 400)
    #expect(node.acts.isEmpty)
  }

  @Test("Checking tells the reason inside a success")
  func check() async throws {
    let node = FakeNode()
    #expect(await ask(node, "POST", "check-prefs", "{}").text == "{}\n")
    let refused = await ask(node, "POST", "check-prefs", #"{"RunWebClient":true}"#)
    #expect(refused.status == 200)
    #expect(try refused.tree()["Error"]?.string?.contains("the web interface") == true)
  }

  @Test("Starting hands over the key, and says why when it cannot")
  func start() async {
    let node = FakeNode()
    #expect(await ask(node, "POST", "start", #"{"AuthKey":"secret"}"#).status == 204)
    #expect(node.acts == ["start with secret"])
    node.state.withLock { $0.refusal = NodeRefusal(.conflict, "the state cannot be kept") }
    let refused = await ask(node, "POST", "start", "{}")
    #expect(refused.status == 409)
    #expect(refused.text == "the state cannot be kept\n")
    let unserved = await ask(node, "POST", "start", #"{"UpdatePrefs":{"RunSSH":true}}"#)
    #expect(unserved.status == 400)
  }

  @Test(
    "Changes take the method that clients use",
    arguments: ["start", "logout", "login-interactive"]
  )
  func methods(path: String) async {
    let node = FakeNode()
    #expect(await ask(node, "GET", path).text == "want POST\n")
    #expect(node.acts.isEmpty)
  }

  @Test("Profiles are told; switching is refused")
  func profiles() async throws {
    #expect(await ask(FakeNode(), "GET", "profiles/").text == "[]\n")
    let current = try await ask(FakeNode(), "GET", "profiles/current").tree()
    #expect(current["ID"]?.string == "1ab3")
    #expect(await ask(FakeNode(), "GET", "profiles/ffff").status == 404)
    #expect(await ask(FakeNode(), "PUT", "profiles/").status == 405)
  }

  @Test(
    "A ping with parameters that mean nothing is refused",
    arguments: [
      "", "ip=100.64.0.1", "ip=x&type=disco", "ip=100.64.0.1&type=smoke",
      "ip=100.64.0.1&type=disco&size=-1", "ip=100.64.0.1&type=disco&size=65536",
      "ip=100.64.0.1&type=TSMP&size=100", "ip=100.64.0.1&type=disco&size=1e3",
    ]
  )
  func badPings(query: String) async {
    let node = FakeNode()
    #expect(await ask(node, "POST", "ping?" + query).status == 400)
    #expect(node.state.withLock { $0.pings.isEmpty })
  }

  @Test("A ping is passed on, and its failure told")
  func ping() async throws {
    let node = FakeNode()
    let answer = try await ask(node, "POST", "ping?ip=100.64.0.1&type=disco&size=1200").tree()
    #expect(answer["LatencySeconds"]?.double == 0.025)
    #expect(node.state.withLock { $0.pings } == ["100.64.0.1 disco 1200"])
    node.state.withLock { $0.refusal = NodeRefusal(.failed, "no such peer") }
    let failed = await ask(node, "POST", "ping?ip=100.64.0.1&type=TSMP")
    #expect(failed.status == 500)
    #expect(try failed.tree()["Error"]?.string == "no such peer")
  }

  @Test("whois finds by address, by flow and by key")
  func whois() async throws {
    let node = FakeNode()
    let addresses = [
      "100.64.0.1", "100.64.0.1:80", "[fd7a:115c:a1e0::1]:80", "fd7a:115c:a1e0::1",
      "nodekey:" + String(repeating: "ab", count: 32),
    ]
    for address in addresses {
      #expect(await ask(node, "GET", "whois?addr=" + address).status == 404)
    }
    node.state.withLock { $0.whoIs = WhoIsResponse(node: Node(id: 7), userProfile: UserProfile()) }
    for address in addresses {
      let answer = try await ask(node, "GET", "whois?proto=tcp&addr=" + address).tree()
      #expect(answer["Node"]?["ID"]?.int == 7)
    }
    for query in ["", "addr=", "addr=x", "addr=nodekey:ab", "addr=100.64.0.1&proto=icmp"] {
      #expect(await ask(node, "GET", "whois?" + query).status == 400)
    }
  }

  @Test("Nodes and users are found by number")
  func numbers() async throws {
    #expect(try await ask(FakeNode(), "GET", "peer-by-id?id=7").tree()["ID"]?.int == 7)
    #expect(await ask(FakeNode(), "GET", "peer-by-id?id=8").status == 404)
    #expect(await ask(FakeNode(), "GET", "user-profile?id=1").status == 200)
    for id in ["", "0", "-1", "x", "99999999999999999999"] {
      #expect(await ask(FakeNode(), "GET", "peer-by-id?id=" + id).status == 400)
      #expect(await ask(FakeNode(), "GET", "user-profile?id=" + id).status == 400)
    }
  }

  @Test("What needs a netmap says so before there is one")
  func beforeNetmap() async {
    #expect(await ask(FakeNode(), "GET", "derpmap").text == "null\n")
    #expect(await ask(FakeNode(), "GET", "dns-config").status == 503)
  }

  @Test("Metrics are Prometheus text")
  func metrics() async {
    let answer = await ask(FakeNode(), "GET", "usermetrics")
    #expect(answer.text == "tailscaled_health_messages 0\n")
    #expect(answer.headers["Content-Type"]?.hasPrefix("text/plain") == true)
  }
}

@Suite("The target of a request")
struct RequestTargetTests {
  @Test("Parameters are decoded, and the first of a name counts")
  func parameters() {
    let target = RequestTarget("/a/b?x=1&x=2&y=%41%2B+c&z&=4&w=a=b")
    #expect(target.path == "/a/b")
    #expect(target["x"] == "1")
    #expect(target["y"] == "A+ c")
    #expect(target["z"].isEmpty)
    #expect(target["w"] == "a=b")
    #expect(RequestTarget("").path.isEmpty)
    #expect(RequestTarget("?a=1")["a"] == "1")
  }

  @Test("Malformed escapes are passed over", arguments: ["%", "%4", "%+1", "%zz", "%ff", "%-1"])
  func escapes(text: String) { #expect(RequestTarget("/?x=" + text)["x"].isEmpty) }

  @Test("No target breaks it")
  func mutations() {
    var entropy = Entropy(seed: 7)
    let alphabet = Array("/?&=%+aF0\u{e9}")
    for _ in 0..<3000 {
      let text = String(
        (0..<Int.random(in: 0...24, using: &entropy)).map { _ in
          alphabet[Int.random(in: 0..<alphabet.count, using: &entropy)]
        }
      )
      let target = RequestTarget(text)
      #expect(target.bool("a", default: true) || !target["a"].isEmpty)
    }
  }
}
