// SPDX-License-Identifier: Apache-2.0

import Addressing
import Foundation
import HTTPTransport
import JSON
import LocalAPI
import Synchronization
import Testing

@testable import martlet

@Suite("The command line against a daemon")
struct CommandsTests {
  @Test("up joins with a key, quietly, and is done at once the next time")
  func joins() async throws {
    let node = FakeNode()
    try await FakeDaemon.serving(node) { daemon in
      let first = await daemon.martlet(
        "up",
        "--login-server",
        "http://c",
        "--auth-key",
        "good",
        "--timeout",
        "60s"
      )
      #expect(first.code == 0)
      #expect(first.output + first.errors == "")
      #expect(node.acts == ["start with a key"])
      #expect(node.state.withLock { $0.preferences.controlURL } == "http://c")
      let again = await daemon.martlet("up")
      #expect(again.code == 0)
      #expect(node.acts.last == "edit WantRunning")
    }
  }

  @Test("up shows where to log in, once, and says when it is done")
  func interactive() async throws {
    let node = FakeNode()
    try await FakeDaemon.serving(node) { daemon in
      async let told = daemon.martlet("up", "--login-server=http://c")
      while !node.acts.contains("login"), !Task.isCancelled { await Task.yield() }
      node.change { _ in }
      node.connect()
      let outcome = await told
      #expect(outcome.code == 0)
      #expect(node.acts == ["start", "login"])
      let lines = "\nTo authenticate, visit:\n\n\thttp://control.example/register/abc\n\nSuccess.\n"
      #expect(outcome.errors == lines || outcome.errors == "")
    }
  }

  @Test("up tells progress as JSON when asked")
  func json() async throws {
    let node = FakeNode()
    try await FakeDaemon.serving(node) { daemon in
      let told = await daemon.martlet("up", "--json", "--login-server=http://c", "--auth-key=good")
      #expect(told.output == "{\n  \"BackendState\": \"Running\"\n}\n")
      #expect(told.errors == "")
    }
  }

  @Test("up gives up when the time is over, and says where to look")
  func timeout() async throws {
    try await FakeDaemon.serving(FakeNode()) { daemon in
      let told = await daemon.martlet("up", "--login-server=http://c", "--timeout=1ms")
      #expect(told.code == 1)
      #expect(told.errors.contains("timeout waiting for Martlet service to enter a Running state"))
    }
  }

  @Test("A login that the server refuses ends up, and never shows the key")
  func refused() async throws {
    try await FakeDaemon.serving(FakeNode()) { daemon in
      let told = await daemon.martlet("up", "--login-server=http://c", "--auth-key=wrongsecret")
      #expect(told.code == 1)
      #expect(told.errors == "martlet: backend error: invalid key\n")
    }
  }

  @Test("A key comes out of a file, or the environment; what is no key is refused unseen")
  func keyFiles() async throws {
    let folder = FileManager.default.temporaryDirectory
    let file = folder.appending(path: "martlet-key-\(UUID().uuidString)").path
    defer { try? FileManager.default.removeItem(atPath: file) }
    try await FakeDaemon.serving(FakeNode()) { daemon in
      let missing = await daemon.martlet("up", "--login-server=http://c", "--auth-key=file:\(file)")
      #expect(missing.code == 1)
      #expect(missing.errors.contains("no such file"))
      try Data("good secret\n".utf8).write(to: URL(filePath: file))
      let two = await daemon.martlet("up", "--login-server=http://c", "--authkey=file:\(file)")
      #expect(two.code == 2)
      #expect(!two.errors.contains("secret"))
      try Data("\n good\n".utf8).write(to: URL(filePath: file))
      let joined = await daemon.martlet("up", "--login-server=http://c", "-authkey", "file:\(file)")
      #expect(joined.code == 0)
    }
    try await FakeDaemon.serving(FakeNode()) { daemon in
      let joined = await daemon.martlet(
        "up",
        "--login-server=http://c",
        environment: ["TS_AUTHKEY": "good"]
      )
      #expect(joined.code == 0)
    }
  }

  @Test("up refuses to drop settings, and nothing changes")
  func reverts() async throws {
    let node = FakeNode()
    node.connect()
    node.state.withLock {
      $0.preferences.controlURL = "http://c"
      $0.preferences.hostname = "h"
    }
    try await FakeDaemon.serving(node) { daemon in
      let told = await daemon.martlet("up", "--shields-up")
      #expect(told.code == 1)
      #expect(told.errors.contains("martlet up --shields-up --hostname=h --login-server=http://c"))
      #expect(node.acts.isEmpty)
      let whole = await daemon.martlet(
        "up",
        "--shields-up",
        "--hostname=h",
        "--login-server=http://c"
      )
      #expect(whole.code == 0)
      #expect(node.acts == ["edit ControlURL,Hostname,ShieldsUp,WantRunning"])
    }
  }

  @Test("What is not served is refused by name, and nothing changes", arguments: ["up", "set"])
  func unserved(verb: String) async throws {
    let node = FakeNode()
    node.connect()
    node.state.withLock { $0.preferences.controlURL = "http://c" }
    try await FakeDaemon.serving(node) { daemon in
      let server = verb == "up" ? ["--login-server=http://c"] : []
      let told = await run(
        [verb, "--ssh"] + server,
        environment: ["MARTLET_SOCKET": daemon.path]
      )
      #expect(told.code == 1)
      #expect(told.errors == "martlet: the SSH server is not served yet (RunSSH)\n")
      #expect(node.acts.isEmpty)
    }
  }

  @Test("login is for who is logged out; logout and down do as they say")
  func lifetimes() async throws {
    let node = FakeNode()
    node.connect()
    node.state.withLock { $0.preferences.controlURL = "http://c" }
    try await FakeDaemon.serving(node) { daemon in
      let login = await daemon.martlet("login", "--login-server=http://c", "--auth-key=good")
      #expect(login.code == 1)
      #expect(login.errors.contains("logged in already"))
      #expect(await daemon.martlet("down").code == 0)
      #expect(node.acts == ["edit WantRunning"])
      let twice = await daemon.martlet("down")
      #expect(twice.code == 0)
      #expect(twice.errors == "Martlet was already stopped.\n")
      #expect(await daemon.martlet("logout").code == 0)
      #expect(node.acts.last == "logout")
      let next = await daemon.martlet("login", "--login-server=http://c", "--auth-key=good")
      #expect(next.code == 0)
      #expect(node.acts.last == "start with a key")
    }
  }

  @Test("set changes what was mentioned; get shows it")
  func settings() async throws {
    let node = FakeNode()
    try await FakeDaemon.serving(node) { daemon in
      #expect(await daemon.martlet("set", "--hostname=x", "--nickname", "work").code == 0)
      #expect(node.acts == ["edit Hostname,ProfileName"])
      #expect(await daemon.martlet("get", "hostname").output == "x\n")
      let all = await daemon.martlet("get")
      #expect(all.output.contains("nickname                       work\n"))
      #expect(!all.output.contains("ssh"))
      #expect(await daemon.martlet("get", "ssh").output == "false\n")
      let none = await daemon.martlet("get", "no-such")
      #expect(none.code == 1)
      #expect(none.errors.contains("unknown setting \"no-such\""))
      let help = await daemon.martlet("set")
      #expect(help.code == 0)
      #expect(help.output.contains("--hostname"))
      let bad = await daemon.martlet("set", "--hostname=-bad-")
      #expect(bad.code == 1)
      #expect(bad.errors.contains("is not a host name"))
    }
  }

  @Test("ip shows addresses, of one kind, of one machine")
  func addresses() async throws {
    try await FakeDaemon.serving(FakeNode(Goldens.status())) { daemon in
      #expect(await daemon.martlet("ip").output == "100.64.0.1\n")
      #expect(await daemon.martlet("ip", "-4").output == "100.64.0.1\n")
      #expect(await daemon.martlet("ip", "-6").errors == "martlet: no Martlet IPv6 address\n")
      #expect(await daemon.martlet("ip", "-1", "beta").output == "100.64.0.2\n")
      #expect(await daemon.martlet("ip", "BETA.tail.example.").output == "100.64.0.2\n")
      #expect(await daemon.martlet("ip", "100.64.0.3").output == "100.64.0.3\n")
      let nobody = await daemon.martlet("ip", "delta")
      #expect(nobody.code == 1)
      #expect(nobody.errors == "martlet: no such peer: delta. 'martlet status' lists them.\n")
      #expect(await daemon.martlet("ip", "-4", "-6").code == 2)
      #expect(await daemon.martlet("ip", "--assert=100.64.0.1").code == 0)
      #expect(await daemon.martlet("ip", "--assert=100.64.0.2").code == 1)
    }
    try await FakeDaemon.serving(FakeNode()) { daemon in
      let none = await daemon.martlet("ip")
      #expect(none.code == 1)
      #expect(none.errors.contains("no current Martlet IPs; state: NoState"))
    }
  }

  @Test("ping shows each answer, and how it went in the end")
  func pings() async throws {
    let node = FakeNode(try Goldens.status())
    try await FakeDaemon.serving(node) { daemon in
      let relayed = await daemon.martlet("ping", "-c", "1", "beta")
      #expect(relayed.code == 1)
      #expect(relayed.output == "pong from beta (100.64.0.2) via DERP(lab) in 23ms\n")
      #expect(relayed.errors == "martlet: direct connection not established\n")
      let content = await daemon.martlet("ping", "-c=1", "--until-direct=false", "100.64.0.2")
      #expect(content.code == 0)
      let inside = await daemon.martlet("ping", "--tsmp", "beta")
      #expect(inside.code == 0)
      #expect(inside.output == "pong from beta (100.64.0.2) via TSMP in 23ms\n")
      let own = await daemon.martlet("ping", "alpha")
      #expect(own.output == "100.64.0.1 is local Martlet IP\n")
      #expect(await daemon.martlet("ping", "--tsmp", "--icmp", "beta").code == 2)
      #expect(await daemon.martlet("ping", "--size=70000", "beta").code == 2)
      #expect(await daemon.martlet("ping").code == 2)
      node.state.withLock { $0.answersPings = false }
      let silent = await daemon.martlet("ping", "--timeout=1ms", "-c", "1", "beta")
      #expect(silent.code == 1)
      #expect(silent.output == "ping \"100.64.0.2\" timed out\n")
      #expect(silent.errors == "martlet: no reply\n")
    }
  }

  @Test("whois, netcheck and version ask the daemon")
  func questions() async throws {
    try await FakeDaemon.serving(FakeNode(Goldens.status())) { daemon in
      let known = await daemon.martlet("whois", "--json", "100.64.0.2")
      let read1 = try JSONValue(parsing: known.output)
      #expect(read1["Node"]?["StableID"]?.string == "n2")
      let unknown = await daemon.martlet("whois", "100.64.0.9:80")
      #expect(unknown.code == 1)
      #expect(unknown.errors == "martlet: no match for IP:port\n")
      #expect(await daemon.martlet("whois", "beta").code == 2)
      #expect(await daemon.martlet("netcheck").output.hasPrefix("\nReport:\n\t* Time: "))
      let report = await daemon.martlet("netcheck", "--format=json")
      let read2 = try JSONValue(parsing: report.output)
      #expect(read2["UDP"]?.bool == true)
      let line = await daemon.martlet("netcheck", "--format", "json-line")
      #expect(line.output.split(separator: "\n").count == 1)
      #expect(await daemon.martlet("version", "--daemon").output.hasSuffix("Daemon: 0.1.0\n"))
    }
  }

  @Test("wait returns when the node is connected")
  func waits() async throws {
    let node = FakeNode()
    try await FakeDaemon.serving(node) { daemon in
      let impatient = await daemon.martlet("wait", "--timeout=1ms")
      #expect(impatient.code == 1)
      node.connect()
      #expect(await daemon.martlet("wait", "--timeout=60s").code == 0)
    }
  }

  @Test("A daemon of another version is warned of, once")
  func versions() async throws {
    try await FakeDaemon.serving(FakeNode(), version: "9.9") { daemon in
      let told = await daemon.martlet("set", "--hostname=x")
      #expect(told.code == 0)
      #expect(told.errors.split(separator: "\n").count == 1)
      #expect(told.errors.contains("!= martletd server version \"9.9\""))
    }
  }

  @Test("A daemon that is not there, or is none, is told as such")
  func noDaemon() async throws {
    let missing = await run(["--socket", "/nonexistent/x.sock", "status"])
    #expect(missing.code == 1)
    #expect(
      missing.errors == """
        martlet: failed to connect to martletd at /nonexistent/x.sock; it doesn't appear to be \
        running. Start it (sudo systemctl start martletd), or name its socket with --socket.

        """
    )
    let path = FileManager.default.temporaryDirectory
      .appending(path: "martlet-\(UUID().uuidString.prefix(8)).sock").path
    let server = try await HTTPServer.start(on: [.unix(path: path, mode: 0o600)]) { _ in
      HTTPResponse(status: 200, body: .bytes(Array("hello".utf8)))
    }
    let other = await run(["status", "--socket=" + path])
    #expect(other.code == 1)
    #expect(other.errors.contains("what answers at \(path) is no martletd"))
    await server.shutdown()
  }
}
