// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@testable import HTTPTransport

@Suite("Unix sockets", .timeLimit(.minutes(10)))
struct UnixSocketTests {
  @Test("The server knows the process at the other end, and the socket has its mode")
  func credentials() async throws {
    let path = World.socketPath()
    let handler: HTTPHandler = { request in
      let remote = request.remote
      let text = remote.credentials.map { "\($0.processID) \($0.userID) \($0.groupID)" } ?? "none"
      return HTTPResponse(
        status: remote.endpoint == nil ? 200 : 500,
        body: .bytes(Array(text.utf8))
      )
    }
    let server = try await HTTPServer.start(on: [.unix(path: path, mode: 0o640)], handler: handler)
    let response = try await HTTPClient().request(to: .unix(path: path), path: "/who")
    let body = String(decoding: try await response.collect(upTo: 100), as: UTF8.self)
    #expect(response.status == 200)
    #expect(body == "\(getpid()) \(geteuid()) \(getegid())")
    let attributes = try FileManager.default.attributesOfItem(atPath: path)
    #expect(attributes[.posixPermissions] as? Int == 0o640)
    #expect(server.endpoints.isEmpty)
    await server.shutdown()
    #expect(!FileManager.default.fileExists(atPath: path))
    #expect(!FileManager.default.fileExists(atPath: path + ".new"))
  }

  @Test("A socket that a killed daemon left behind is replaced")
  func stale() async throws {
    let path = World.socketPath()
    let first = try await HTTPServer.start(
      on: [.unix(path: path, mode: 0o600)],
      handler: World.echo
    )
    let second = try await HTTPServer.start(
      on: [.unix(path: path, mode: 0o600)],
      handler: { _ in HTTPResponse(status: 202) }
    )
    let response = try await HTTPClient().request(to: .unix(path: path), path: "/")
    #expect(response.status == 202)
    await second.shutdown()
    await first.shutdown()
    await #expect(throws: HTTPTransportError.self) {
      _ = try await HTTPClient().request(to: .unix(path: path), path: "/")
    }
  }

  @Test("A place that is not there, or a path that is too long, is told with its name")
  func badPath() async throws {
    for path in ["/nonexistent/martlet.sock", "/tmp/" + String(repeating: "x", count: 200)] {
      do {
        _ = try await HTTPServer.start(on: [.unix(path: path, mode: 0o600)], handler: World.echo)
        Issue.record("\(path) was listened on")
      } catch let error as HTTPTransportError {
        #expect(error.description.hasPrefix("cannot listen on \(path)"))
      }
      do {
        _ = try await Dialer().dial(unixPath: path)
        Issue.record("\(path) was reached")
      } catch let error as HTTPTransportError {
        #expect(error.reason == .unreachable)
      }
    }
  }
}
