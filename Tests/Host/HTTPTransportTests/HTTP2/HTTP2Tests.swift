// SPDX-License-Identifier: Apache-2.0

import Bytes
import Synchronization
import Testing

@testable import HTTPTransport

@Suite("HTTP/2 inside a cipher", .timeLimit(.minutes(10)))
struct HTTP2Tests {
  @Test("A request and its answer keep their method, target, fields and body")
  func roundTrip() async throws {
    let handler: HTTPHandler = { request in
      HTTPResponse(
        status: 201,
        headers: [
          "X-Host": request.headers["Host"] ?? "", "X-Name": request.headers["x-name"] ?? "",
        ],
        body: .bytes(Array("\(request.method) \(request.path) ".utf8) + request.body)
      )
    }
    try await HTTP2World.withConnection(handler: handler) { connection in
      let response = try await connection.request(
        "POST",
        host: "server.test:443",
        path: "/machine/map?x=1",
        headers: ["X-Name": "value"],
        body: Array("body".utf8)
      )
      #expect(response.status == 201)
      #expect(response.headers["x-host"] == "server.test:443")
      #expect(response.headers["X-Name"] == "value")
      #expect(response.headers["content-length"] == "26")
      let body = try await response.collect(upTo: 100)
      #expect(String(decoding: body, as: UTF8.self) == "POST /machine/map?x=1 body")
    }
  }

  @Test("Many requests at once each get their own answer, also more than the server takes at once")
  func concurrent() async throws {
    var limits = HTTPLimits()
    limits.maximumConcurrentStreams = 10
    try await HTTP2World.withConnection(limits: limits) { connection in
      try await withThrowingTaskGroup(of: Void.self) { group in
        for number in 0..<100 {
          group.addTask {
            let response = try await connection.request(
              "POST",
              host: "a",
              path: "/\(number)",
              body: [UInt8](repeating: 1, count: number * 100)
            )
            let body = try await response.collect(upTo: 100)
            #expect(String(decoding: body, as: UTF8.self) == "POST /\(number) \(number * 100)\n")
          }
        }
        try await group.waitForAll()
      }
    }
  }

  @Test("A large answer crosses whole, while small ones pass by")
  func large() async throws {
    let piece = (0..<50_000).map { UInt8(truncatingIfNeeded: $0 &* 3) }
    let handler: HTTPHandler = { request in
      guard request.path == "/large" else { return await World.echo(request) }
      return HTTPResponse(
        status: 200,
        body: .stream { writer in for _ in 0..<100 { try await writer.write(piece) } }
      )
    }
    try await HTTP2World.withConnection(handler: handler) { connection in
      let large = try await connection.request("GET", host: "a", path: "/large")
      // Nobody reads the large one yet: its window fills, the others' do not.
      for number in 0..<10 {
        let small = try await connection.request("GET", host: "a", path: "/\(number)")
        #expect(try await small.collect(upTo: 100).count == 9)
      }
      let body = try await large.collect(upTo: 6_000_000)
      #expect(body.count == 5_000_000)
      #expect((0..<100).allSatisfy { body[$0 * 50_000..<($0 + 1) * 50_000].elementsEqual(piece) })
    }
  }

  @Test("A writer waits while its client does not read, and the connection ends if that lasts")
  func backPressure() async throws {
    let produced = Counter()
    let ended = Signal()
    let piece = [UInt8](repeating: 1, count: 64 * 1024)
    let handler: HTTPHandler = { _ in
      HTTPResponse(
        status: 200,
        body: .stream { writer in
          defer { ended.set() }
          for _ in 0..<1000 {
            try await writer.write(piece)
            produced.add(piece.count)
          }
        }
      )
    }
    var limits = HTTPLimits()
    limits.writeTimeout = .seconds(4)
    try await HTTP2World.withConnection(limits: limits, handler: handler) { connection in
      let response = try await connection.request("GET", host: "a", path: "/")
      await ended.wait()
      // The client's window, what it buffers, and no more; 62 MiB were to be written.
      #expect(produced.value <= HTTP2Windows.clientConnection + 1024 * 1024)
      await #expect(throws: HTTPTransportError.self) {
        _ = try await response.collect(upTo: 100_000_000)
      }
    }
  }

  @Test("A body beyond the limit is answered by 413; the connection goes on")
  func bodyTooLarge() async throws {
    var limits = HTTPLimits()
    limits.maximumBodyBytes = 1000
    try await HTTP2World.withConnection(limits: limits) { connection in
      let body = [UInt8](repeating: 1, count: 1001)
      let response = try await connection.request("POST", host: "a", path: "/", body: body)
      #expect(response.status == 413)
      let next = try await connection.request("POST", host: "a", path: "/", body: [1])
      #expect(next.status == 200)
    }
  }

  @Test("Fields beyond the limit are refused, and the server lives on")
  func headerTooLarge() async throws {
    var limits = HTTPLimits()
    limits.maximumHeaderBytes = 2000
    try await HTTP2World.withServer(limits: limits) { port, _ in
      for _ in 0..<2 {
        let connection = try await HTTP2Connection.client(
          over: try await World.dial(port),
          cipher: TestCipher()
        )
        await #expect(throws: HTTPTransportError.self) {
          _ = try await connection.request(
            "GET",
            host: "a",
            path: "/",
            headers: ["x": String(repeating: "x", count: 40_000)]
          )
        }
        await connection.close()
      }
    }
  }

  @Test("An exchange that is given up is cancelled at the other side; the connection goes on")
  func cancelled() async throws {
    let gone = Signal()
    let handler: HTTPHandler = { request in
      guard request.path == "/long" else { return await World.echo(request) }
      return HTTPResponse(
        status: 200,
        body: .stream { writer in
          defer { gone.set() }
          while true {
            try await writer.write([1])
            try Task.checkCancellation()
          }
        }
      )
    }
    try await HTTP2World.withConnection(handler: handler) { connection in
      let long = try await connection.request("GET", host: "a", path: "/long")
      #expect(try await long.body.next()?.first == 1)
      long.body.cancel()
      await gone.wait()
      let next = try await connection.request("GET", host: "a", path: "/")
      #expect(next.status == 200)
    }
  }

  @Test("A task that is cancelled while it waits for an answer gets out")
  func cancelledTask() async throws {
    let asked = Signal()
    let gone = Signal()
    let handler: HTTPHandler = { request in
      guard request.path == "/never" else { return await World.echo(request) }
      asked.set()
      await withTaskCancellationHandler {
        await gone.wait()
      } onCancel: {
        gone.set()
      }
      return HTTPResponse(status: 200)
    }
    try await HTTP2World.withConnection(handler: handler) { connection in
      let task = Task { try await connection.request("GET", host: "a", path: "/never") }
      await asked.wait()
      task.cancel()
      await #expect(throws: CancellationError.self) { _ = try await task.value }
      await gone.wait()
      let next = try await connection.request("GET", host: "a", path: "/")
      #expect(next.status == 200)
    }
  }

  @Test("An answer that does not come in time is an error; the connection goes on")
  func timeout() async throws {
    let release = Signal()
    let handler: HTTPHandler = { request in
      if request.path == "/slow" { await release.wait() }
      return await World.echo(request)
    }
    try await HTTP2World.withConnection(handler: handler) { connection in
      await #expect(throws: HTTPTransportError.self) {
        _ = try await connection.request(
          "GET",
          host: "a",
          path: "/slow",
          timeout: .milliseconds(50)
        )
      }
      release.set()
      let next = try await connection.request("GET", host: "a", path: "/")
      #expect(next.status == 200)
    }
  }

  @Test("Exchanges that are given up before they began leave the connection as it was")
  func givenUpEarly() async throws {
    try await HTTP2World.withConnection { connection in
      for _ in 0..<50 {
        // Whether it is in time is for the event loop to say.
        _ = try? await connection.request("GET", host: "a", path: "/", timeout: .zero)
      }
      let next = try await connection.request("GET", host: "a", path: "/")
      #expect(next.status == 200)
    }
  }

  @Test("A handler that fails or asks for an upgrade ends its own exchange only")
  func failedHandler() async throws {
    struct Trouble: Error {}
    let handler: HTTPHandler = { request in
      switch request.path {
      case "/fail":
        HTTPResponse(
          status: 200,
          body: .stream { writer in
            try await writer.write([1])
            throw Trouble()
          }
        )
      case "/upgrade": HTTPResponse(status: 101, body: .upgrade(protocol: "p") { _ in })
      default: await World.echo(request)
      }
    }
    try await HTTP2World.withConnection(handler: handler) { connection in
      let failing = try await connection.request("GET", host: "a", path: "/fail")
      await #expect(throws: HTTPTransportError.self) { _ = try await failing.collect(upTo: 100) }
      await #expect(throws: HTTPTransportError.self) {
        _ = try await connection.request("GET", host: "a", path: "/upgrade")
      }
      let next = try await connection.request("GET", host: "a", path: "/")
      #expect(next.status == 200)
    }
  }

  @Test("When the connection ends, everybody who waits on it is told, and nobody may begin")
  func connectionEnds() async throws {
    let asked = Signal()
    let handler: HTTPHandler = { request in
      HTTPResponse(
        status: 200,
        body: .stream { writer in
          try await writer.write([1])
          asked.set()
          while true {
            try await writer.write([2])
            try Task.checkCancellation()
          }
        }
      )
    }
    try await HTTP2World.withServer(handler: handler) { port, ended in
      let connection = try await HTTP2Connection.client(
        over: try await World.dial(port),
        cipher: TestCipher()
      )
      let response = try await connection.request("GET", host: "a", path: "/")
      await asked.wait()
      let told = Signal()
      connection.whenClosed { told.set() }
      await connection.close()
      await told.wait()
      #expect(connection.isClosed)
      await #expect(throws: HTTPTransportError.self) {
        _ = try await response.collect(upTo: 100_000_000)
      }
      await #expect(throws: HTTPTransportError.self) {
        _ = try await connection.request("GET", host: "a", path: "/")
      }
      await ended.wait()
    }
  }

  @Test("What was opened before HTTP/2 began belongs to it")
  func prelude() async throws {
    let preface = Array(FrameWriter.preface)
    try await World.withListener { stream in
      try? await serveHTTP2(
        over: stream,
        cipher: TestCipher(),
        prelude: preface,
        handler: World.echo
      )
    } during: { port in
      var writer = FrameWriter(try await World.dial(port))
      let kind = FrameWriter.Kind.headers
      try await writer.send(FrameWriter.frame(kind, flags: 5, stream: 1, FrameWriter.get))
      let frames = await writer.frames(until: .data)
      writer.stream.abort()
      #expect(frames.kinds.contains(FrameWriter.Kind.headers.rawValue))
      #expect(frames.kinds.contains(FrameWriter.Kind.data.rawValue))
    }
  }
}
