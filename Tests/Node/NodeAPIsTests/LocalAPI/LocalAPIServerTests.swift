// SPDX-License-Identifier: Apache-2.0

import Glibc
import HTTPTransport
import JSON
import LocalAPI
import Synchronization
import Testing

@testable import NodeAPIs

@Suite("The socket of the LocalAPI")
struct LocalAPIServerTests {
  private func ask(
    _ path: String,
    _ method: String,
    _ target: String,
    host: String = LocalAPIRoutes.host,
    headers: HTTPHeaders = [:],
    body: [UInt8] = []
  ) async throws -> HTTPClientResponse {
    try await HTTPClient().request(
      method,
      to: .unix(path: path),
      host: host,
      path: LocalAPIRoutes.prefix + target,
      headers: headers,
      body: body
    )
  }

  private func start(_ path: String, _ node: FakeNode) async throws -> LocalAPIServer {
    try await LocalAPIServer.start(at: path, node: node, version: "0.1.0", logger: quietLogger)
  }

  @Test("It answers over a socket that everyone may open")
  func answers() async throws {
    let scratch = ScratchDirectory()
    let path = scratch.path + "/sub/daemon.sock"
    let node = FakeNode()
    node.state.withLock { $0.status.version = "0.1.0" }
    let server = try await start(path, node)
    let answer = try await ask(path, "GET", "status")
    #expect(answer.status == 200)
    let status = try Status(json: try await answer.collect(upTo: 1 << 20))
    #expect(status.version == "0.1.0")
    var facts = stat()
    #expect(unsafe stat(path, &facts) == 0)
    #expect(facts.st_mode & 0o777 == 0o666)
    #expect(unsafe stat(scratch.path + "/sub", &facts) == 0)
    #expect(facts.st_mode & 0o777 == 0o755)
    // The user who runs the test is the daemon's user, so that it may write.
    let logout = try await ask(path, "POST", "logout")
    #expect(logout.status == 204)
    #expect(node.acts == ["logout"])
    let foreign = try await ask(path, "POST", "logout", host: "evil.example")
    #expect(foreign.status == 403)
    #expect(node.acts == ["logout"])
    await server.shutdown()
    #expect(unsafe access(path, F_OK) != 0)
  }

  @Test("A second daemon is refused; a socket that nobody serves is replaced")
  func second() async throws {
    let scratch = ScratchDirectory()
    let path = scratch.path + "/daemon.sock"
    let server = try await start(path, FakeNode())
    await #expect(throws: LocalAPIServer.Failure.alreadyRunning(path: path)) {
      _ = try await start(path, FakeNode())
    }
    #expect(try await ask(path, "GET", "status").status == 200)
    await server.shutdown()
    // What a daemon leaves behind that was killed.
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: path.utf8) }
    let bound = unsafe withUnsafeBytes(of: &address) { bytes in
      // SAFETY: the address outlives the call.
      unsafe bind(
        descriptor,
        bytes.baseAddress?.assumingMemoryBound(to: sockaddr.self),
        socklen_t(bytes.count)
      )
    }
    #expect(bound == 0)
    close(descriptor)
    let next = try await start(path, FakeNode())
    #expect(try await ask(path, "GET", "status").status == 200)
    await next.shutdown()
  }

  @Test("A body beyond the limit is refused before it is read, and the next client is served")
  func large() async throws {
    let scratch = ScratchDirectory()
    let path = scratch.path + "/daemon.sock"
    let node = FakeNode()
    let server = try await start(path, node)
    let stream = try await Dialer().dial(unixPath: path)
    let head = "POST /localapi/v0/start HTTP/1.1\r\nHost: \(LocalAPIRoutes.host)\r\n"
    try await stream.write(Array((head + "Content-Length: 1073741824\r\n\r\n").utf8))
    var answer: [UInt8] = []
    while let chunk = try await stream.read() { answer += chunk }
    #expect(String(decoding: answer, as: UTF8.self).hasPrefix("HTTP/1.1 413 "))
    #expect(node.acts.isEmpty)
    #expect(try await ask(path, "GET", "status").status == 200)
    await server.shutdown()
  }

  @Test("The bus is one message a line, and the watcher's place is free when it left")
  func bus() async throws {
    let scratch = ScratchDirectory()
    let path = scratch.path + "/daemon.sock"
    let node = FakeNode()
    var initial = Notification()
    initial.state = .needsLogin
    initial.browseToURL = "http://control/register/x"
    node.state.withLock { $0.initial = initial }
    let server = try await start(path, node)
    let answer = try await ask(path, "GET", "watch-ipn-bus?mask=2")
    var lines = LineReader(answer.body)
    let first = try Notification(json: try #require(await lines.next()))
    #expect(first.state == .needsLogin)
    #expect(first.browseToURL == "http://control/register/x")
    #expect(first.sessionID.utf8.count == 16)
    var running = Notification()
    running.state = .running
    node.tell(running)
    let second = try Notification(json: try #require(await lines.next()))
    #expect(second.state == .running)
    #expect(second.sessionID.isEmpty)
    node.endWatches()
    #expect(try await lines.next() == nil)
    await server.shutdown()
  }

  @Test("Asking for the head of the bus takes no place")
  func head() async throws {
    let scratch = ScratchDirectory()
    let path = scratch.path + "/daemon.sock"
    let server = try await start(path, FakeNode())
    for _ in 0...(WatcherPlaces.maximum) {
      #expect(try await ask(path, "HEAD", "watch-ipn-bus").status == 200)
    }
    await server.shutdown()
  }

  /// Lines out of a body that streams.
  private struct LineReader {
    private var body: HTTPBodySequence
    private var waiting: [UInt8] = []

    init(_ body: HTTPBodySequence) { self.body = body }

    mutating func next() async throws -> [UInt8]? {
      while true {
        if let end = waiting.firstIndex(of: 0x0A) {
          defer { waiting.removeSubrange(...end) }
          return Array(waiting[..<end])
        }
        guard let chunk = try await body.next() else { return nil }
        waiting += chunk
      }
    }
  }
}
