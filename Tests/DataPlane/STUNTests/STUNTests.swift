// SPDX-License-Identifier: Apache-2.0

import Addressing
import Bytes
import STUN
import TestSupport
import Testing

private struct Vectors: Decodable {
  struct Request: Decodable {
    var txid: String
    var packet: String
  }
  struct Response: Decodable {
    var name: String
    var packet: String
    var txid: String
    var ip: String
    var port: UInt16
  }
  struct Ignored: Decodable {
    var name: String
    var packet: String
  }
  var request: Request
  var responses: [Response]
  var serverMustIgnore: [Ignored]
}

@Suite("STUN")
struct STUNTests {
  private let vectors: Vectors

  init() throws { vectors = try read("stun") }

  @Test("A request has the 40 bytes that relays expect")
  func request() throws {
    let request = BindingRequest(transaction: try transaction(vectors.request.txid))
    let expected = try bytes(vectors.request.packet)
    #expect(request.bytes == expected)
    #expect(try BindingRequest(parsing: expected) == request)
  }

  @Test("Responses of many servers are understood")
  func responses() throws {
    for vector in vectors.responses {
      let response = try BindingResponse(parsing: try bytes(vector.packet))
      let address = try #require(IPAddress(vector.ip))
      #expect(response.endpoint == Endpoint(address, port: vector.port), "\(vector.name)")
      #expect(response.transaction == (try transaction(vector.txid)), "\(vector.name)")
    }
  }

  @Test("A server answers our clients with the bytes of the vectors")
  func answers() throws {
    let request = try bytes(vectors.request.packet)
    for vector in vectors.responses where vector.name.hasPrefix("server reply") {
      let source = Endpoint(try #require(IPAddress(vector.ip)), port: vector.port)
      let answer = BindingResponse.answering(request, from: source)
      #expect(answer == (try bytes(vector.packet)), "\(vector.name)")
    }
  }

  @Test("A server ignores strangers, broken fingerprints and every truncation")
  func ignored() throws {
    let source = Endpoint(IPAddress(192, 0, 2, 1), port: 1)
    for vector in vectors.serverMustIgnore {
      #expect(
        BindingResponse.answering(try bytes(vector.packet), from: source) == nil,
        "\(vector.name)"
      )
    }
    let request = try bytes(vectors.request.packet)
    for count in 0..<request.count {
      #expect(BindingResponse.answering(Array(request.prefix(count)), from: source) == nil)
    }
    #expect(BindingResponse.answering(request + [0], from: source) == nil)
    #expect(BindingResponse.answering([0xFF] + request.dropFirst(), from: source) == nil)
  }

  @Test("A truncated response is an error at every byte")
  func truncation() throws {
    for vector in vectors.responses {
      let packet = try bytes(vector.packet)
      for count in 0..<packet.count {
        #expect(throws: STUNError.self) {
          try BindingResponse(parsing: Array(packet.prefix(count)))
        }
      }
    }
  }

  @Test("Endpoints of both families round-trip")
  func roundTrip() throws {
    var generator = SeededGenerator(state: 7)
    for _ in 0..<200 {
      let v6 = Bool.random(using: &generator)
      let address =
        v6
        ? IPAddress(high: generator.next() | 1 << 61, low: generator.next())
        : IPAddress(v4: UInt32.random(in: 0...UInt32.max, using: &generator))
      let response = BindingResponse(
        transaction: TransactionID(using: &generator),
        endpoint: Endpoint(address, port: UInt16.random(in: 0...UInt16.max, using: &generator))
      )
      #expect(try BindingResponse(parsing: response.bytes) == response)
    }
  }

  @Test("Mutated messages are refused or read, never trapped on")
  func mutations() throws {
    let inputs = try corpus("STUN")
    #expect(!inputs.isEmpty)
    var generator = SeededGenerator(state: 1)
    for _ in 0..<5000 {
      let input = try #require(inputs.randomElement(using: &generator))
      let mutated = input.mutated(using: &generator)
      // What they make of it does not matter here.
      _ = try? BindingResponse(parsing: mutated)
      _ = BindingResponse.answering(mutated, from: Endpoint(IPAddress(192, 0, 2, 1), port: 1))
    }
  }

  private func transaction(_ hex: String) throws -> TransactionID {
    var reader = ByteReader(try bytes(hex))
    return try TransactionID(reading: &reader)
  }
}
