// SPDX-License-Identifier: Apache-2.0

import Addressing
import Bytes
import Foundation
import HostIO
import JSON
import RelayServer
import STUN
import Testing

@Suite("STUN", .timeLimit(.minutes(10)))
struct STUNTests {
  private func vectorRequest(file: String = #filePath) throws -> [UInt8] {
    let root = file.split(separator: "/").dropLast(4).joined(separator: "/")
    let data = try Data(contentsOf: URL(filePath: "/\(root)/Fixtures/Vectors/stun.json"))
    let tree = try JSONValue(parsing: Array(data))
    return try #require(tree["request"]?["packet"]?.string.flatMap { Hex.decode($0) })
  }

  /// Sends datagrams in order from one socket, and returns the first answer.
  private func ask(
    _ datagrams: [[UInt8]],
    at relay: Endpoint
  ) async throws -> (answer: [UInt8], source: Endpoint) {
    let local = Endpoint(relay.address, port: 0)
    var socket = try UDPSocket.bind(local)
    for datagram in datagrams {
      // SAFETY: the bytes live through the call.
      _ = unsafe datagram.withUnsafeBytes { bytes in
        unsafe socket.send(bytes, segmentSize: bytes.count, to: relay)
      }
    }
    var buffer = [UInt8](repeating: 0, count: UDPSocket.receiveCapacity)
    while true {
      // SAFETY: the buffer lives through the call.
      let received = unsafe buffer.withUnsafeMutableBytes { unsafe socket.receive(into: $0) }
      if let received {
        return (Array(buffer[..<received.count]), socket.localEndpoint)
      }
      await Task.yield()
    }
  }

  @Test(
    "A machine is told its address and port, over IPv4 and IPv6",
    arguments: ["127.0.0.1", "::1"]
  )
  func mapping(_ address: String) async throws {
    let local = try Endpoint(#require(IPAddress(address)), port: 0)
    let options = RelayOptions.local(on: local).with { $0.stun = [local] }
    try await withRelay(options) { relay in
      let port = try #require(relay.stunPort)
      let request = try vectorRequest()
      let asked = try await ask([request], at: Endpoint(local.address, port: port))
      let response = try BindingResponse(parsing: asked.answer)
      #expect(response.endpoint == asked.source)
      #expect(response.transaction == (try BindingRequest(parsing: request)).transaction)
    }
  }

  @Test("Nonsense is not answered, and what follows is")
  func nonsense() async throws {
    let options = RelayOptions.local().with { $0.stun = [loopback] }
    try await withRelay(options) { relay in
      let port = try #require(relay.stunPort)
      let request = try vectorRequest()
      var datagrams = (0..<request.count).map { Array(request[..<$0]) }
      datagrams.append([UInt8](repeating: 0xFF, count: 1500))
      datagrams.append(request)
      let asked = try await ask(datagrams, at: Endpoint(loopback.address, port: port))
      #expect(try BindingResponse(parsing: asked.answer).endpoint == asked.source)
    }
  }
}
