// SPDX-License-Identifier: Apache-2.0

import Addressing
import Bytes
import Foundation
import Synchronization
import Testing

@testable import HTTPTransport

@Suite("Connections through a proxy")
struct ProxyTests {
  @Test("A proxy is read from its address, with and without scheme and password")
  func addresses() throws {
    let plain = try #require(HTTPProxy("http://proxy.example:3128"))
    #expect(plain.host == "proxy.example" && plain.port == 3128 && !plain.hasPassword)
    #expect(HTTPProxy("proxy.example:3128/") == plain)
    #expect(HTTPProxy("http://[2001:db8::1]:80")?.host == "2001:db8::1")
    let secret = try #require(HTTPProxy("http://alice:s%40cret@proxy.example:3128"))
    #expect(secret.authorization == "Basic " + Base64.encode(Array("alice:s@cret".utf8)))
    #expect("\(secret)" == "proxy.example:3128" && !"\(secret)".contains("cret"))
    for text in [
      "", "http://", "https://proxy:1", "socks5://proxy:1", "http://proxy:0", "http://proxy:99999",
      "http://a b:1", "http://a:%0d%0aX@b:1", "http://a:%@b:1", "http://pro\r\nxy:1",
    ] {
      #expect(HTTPProxy(text) == nil, "\(text)")
    }
  }

  @Test("The environment says which connections go through which proxy, and which through none")
  func environment() {
    let settings = ProxySettings(environment: [
      "https_proxy": "http://secure:1", "HTTP_PROXY": "plain:2",
      "NO_PROXY": "internal.example, .below.example,10.0.0.0/8,192.0.2.7,one.example:8080,bad:port",
    ])
    func used(_ host: String, _ port: UInt16 = 443, isSecure: Bool = true) -> String? {
      settings.proxy(for: host, port: port, isSecure: isSecure)?.host
    }
    #expect(used("example.com") == "secure" && used("example.com", isSecure: false) == "plain")
    for host in [
      "internal.example", "a.internal.example", "INTERNAL.example", "x.below.example", "10.1.2.3",
      "192.0.2.7", "127.0.0.1", "::1", "localhost", "a.localhost",
    ] {
      #expect(used(host) == nil, "\(host)")
    }
    for host in ["notinternal.example", "below.example", "11.0.0.1", "192.0.2.8"] {
      #expect(used(host) == "secure", "\(host)")
    }
    #expect(used("one.example", 8080) == nil && used("one.example", 443) == "secure")
    let none = ProxySettings(environment: ["HTTPS_PROXY": "http://p:1", "NO_PROXY": "*"])
    #expect(none.proxy(for: "example.com", port: 443, isSecure: true) == nil)
    #expect(ProxySettings().proxy(for: "example.com", port: 443, isSecure: true) == nil)
  }

  /// Asks for a page of a host that only the proxy knows.
  private func ask(
    _ proxy: String,
    answering answer: @escaping @Sendable (String) -> String?
  ) async throws -> String {
    try await withProxy(answering: answer) { port in
      let settings = ProxySettings(try #require(HTTPProxy("http://\(proxy)127.0.0.1:\(port)")))
      let client = HTTPClient(dialer: Dialer(proxies: settings))
      let response = try await client.request(url: "http://nowhere.invalid:8080/page")
      return String(decoding: try await response.collect(upTo: 100), as: UTF8.self)
    }
  }

  /// Runs `body` while a proxy listens that leads everybody to a web server of its own.
  private func withProxy<Result: Sendable>(
    answering answer: @escaping @Sendable (String) -> String?,
    _ body: (UInt16) async throws -> Result
  ) async throws -> Result {
    try await World.withServer { _, web in
      let listener = try await Listener.start(on: [.tcp(World.loopback)], tls: nil) { stream in
        var head: [UInt8] = []
        while !String(decoding: head, as: UTF8.self).contains("\r\n\r\n") {
          guard let more = try? await stream.read() else { return }
          head += more
        }
        guard let reply = answer(String(decoding: head, as: UTF8.self)) else {
          return stream.abort()
        }
        try? await stream.write(Array(reply.utf8))
        guard reply.hasPrefix("HTTP/1.1 200"), let onward = try? await World.dial(web) else {
          return await stream.close()
        }
        await withTaskGroup(of: Void.self) { group in
          for (from, to) in [(stream, onward), (onward, stream)] {
            group.addTask {
              while let bytes = try? await from.read() { try? await to.write(bytes) }
              await to.close()
            }
          }
        }
      }
      do {
        let result = try await body(try #require(listener.endpoints.first).port)
        await listener.shutdown()
        return result
      } catch {
        await listener.shutdown()
        throw error
      }
    }
  }

  @Test("The proxy is told the name and the password, and leads on")
  func connects() async throws {
    let heads = Mutex<[String]>([])
    let page = try await ask("bob:secret@") { head in
      heads.withLock { $0.append(head) }
      return "HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n"
    }
    #expect(page == "GET /page 0\n")
    let expected = Base64.encode(Array("bob:secret".utf8))
    #expect(
      heads.withLock { $0 } == [
        "CONNECT nowhere.invalid:8080 HTTP/1.1\r\nHost: nowhere.invalid:8080\r\n"
          + "Proxy-Authorization: Basic \(expected)\r\n\r\n"
      ]
    )
  }

  @Test(
    "A proxy that refuses, breaks off or says something else is named with the reason",
    arguments: [
      ("HTTP/1.1 403 Forbidden\r\n\r\n", "403"), ("HTTP/1.1 407 Who?\r\n\r\n", "password"),
      ("SSH-2.0-OpenSSH\r\n\r\n", "does not speak HTTP"), (nil, "closed"),
    ]
  )
  func refuses(reply: String?, part: String) async throws {
    let error = await #expect(throws: HTTPTransportError.self) {
      _ = try await ask("") { _ in reply }
    }
    let text = error?.description ?? ""
    #expect(text.contains("proxy 127.0.0.1:") && text.contains(part), "\(text)")
  }

  @Test("An answer cut off anywhere is not whole, and no byte of it is a trap")
  func answers() {
    let answer = Array("HTTP/1.1 200 OK\r\nA: b\r\n\r\n".utf8)
    for count in answer.indices {
      #expect(ConnectHandler.headerEnd(Array(answer.prefix(count))) == nil)
    }
    #expect(
      ConnectHandler.headerEnd(answer) == answer.count && ConnectHandler.status(answer) == 200
    )
    for text in ["", "HTTP/1.1", "HTTP/1.1 ", "HTTP/1.1 2000 x", "HTTP/1.1 -20 x", "x 200"] {
      let status = ConnectHandler.status(Array(text.utf8))
      #expect(status == nil || !(200..<300).contains(status ?? 0), "\(text)")
    }
  }
}
