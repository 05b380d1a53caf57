// SPDX-License-Identifier: Apache-2.0

import Addressing
import PortMapping
import TestSupport
import Testing

private struct Vectors: Decodable {
  var natpmp: [String: String]
  var pcp: [String: String]
  var ssdp: [String: String]
}

@Suite("Messages of port mapping")
struct MappingMessageTests {
  private let vectors: Vectors
  private let own = IPAddress(192, 168, 1, 10)
  private let nonce: [UInt8] = Array(0..<12)

  init() throws { vectors = try read("portmap") }

  private func vector(_ group: KeyPath<Vectors, [String: String]>, _ name: String) throws -> [UInt8]
  {
    try bytes(try #require(vectors[keyPath: group][name], "\(name)"))
  }

  @Test("NAT-PMP requests and answers are those of the vectors")
  func natpmp() throws {
    #expect(
      NATPMPRequest.externalAddress.bytes == (try vector(\.natpmp, "externalAddressRequest"))
    )
    #expect(
      NATPMPRequest.map(internal: 41_641, external: 0, lifetimeSeconds: 7200).bytes
        == (try vector(\.natpmp, "mapRequest_local41641_prev0_7200"))
    )
    #expect(
      NATPMPRequest.map(internal: 41_641, external: 50_000, lifetimeSeconds: 0).bytes
        == (try vector(\.natpmp, "mapDelete_local41641_prev50000"))
    )
    let address = try NATPMPResponse(
      parsing: try vector(\.natpmp, "externalAddressResponse_203.0.113.5_epoch1000")
    )
    #expect(address.epoch == 1000)
    #expect(address.body == .externalAddress(IPAddress(203, 0, 113, 5)))
    let mapped = try NATPMPResponse(
      parsing: try vector(\.natpmp, "mapResponse_41641_to_50000_7200_epoch1000")
    )
    #expect(
      mapped.body == .mapped(internal: 41_641, external: 50_000, lifetimeSeconds: 7200)
    )
  }

  @Test("PCP requests and answers are those of the vectors")
  func pcp() throws {
    #expect(
      PCPRequest.announce(client: own).bytes == (try vector(\.pcp, "announceRequest_192.168.1.10"))
    )
    let map = PCPRequest.map(
      client: own,
      nonce: nonce,
      internal: 41_641,
      external: 0,
      lifetimeSeconds: 7200
    )
    #expect(map.bytes == (try vector(\.pcp, "mapRequest")))
    let announced = try PCPResponse(parsing: try vector(\.pcp, "announceResponse_epoch1000"))
    #expect(announced.body == .announce && announced.epoch == 1000)
    let mapped = try PCPResponse(parsing: try vector(\.pcp, "mapResponse_50000_203.0.113.5"))
    let external = Endpoint(IPAddress(203, 0, 113, 5), port: 50_000)
    #expect(mapped.body == .mapped(nonce: nonce, internal: 41_641, external: external))
    #expect(mapped.lifetimeSeconds == 7200)
  }

  @Test("Searches are those of the vectors")
  func ssdp() throws {
    #expect(SSDPSearch.all == (try vector(\.ssdp, "all")))
    #expect(SSDPSearch.gateways == (try vector(\.ssdp, "igd1")))
  }

  @Test("An answer cut off anywhere is refused, and no change of a byte is a trap")
  func truncated() throws {
    let answers = try [
      vector(\.natpmp, "externalAddressResponse_203.0.113.5_epoch1000"),
      vector(\.natpmp, "mapResponse_41641_to_50000_7200_epoch1000"),
      vector(\.pcp, "mapResponse_50000_203.0.113.5"), vector(\.pcp, "announceResponse_epoch1000"),
    ]
    for answer in answers {
      for count in 0..<answer.count {
        let part = Array(answer.prefix(count))
        #expect(throws: PortMappingError.self) { try NATPMPResponse(parsing: part) }
        #expect(throws: PortMappingError.self) { try PCPResponse(parsing: part) }
      }
      for index in answer.indices {
        for change in [UInt8(1), 0x80, 0xFF] {
          var changed = answer
          changed[index] ^= change
          _ = try? NATPMPResponse(parsing: changed)
          _ = try? PCPResponse(parsing: changed)
        }
      }
    }
    let long = try vector(\.natpmp, "mapResponse_41641_to_50000_7200_epoch1000") + [0]
    #expect(throws: PortMappingError.wrongLength(17)) { try NATPMPResponse(parsing: long) }
  }

  @Test("The external port 0 is no port")
  func portZero() throws {
    var pmp = try vector(\.natpmp, "mapResponse_41641_to_50000_7200_epoch1000")
    (pmp[10], pmp[11]) = (0, 0)
    #expect(throws: PortMappingError.portZero) { try NATPMPResponse(parsing: pmp) }
    var pcp = try vector(\.pcp, "mapResponse_50000_203.0.113.5")
    (pcp[42], pcp[43]) = (0, 0)
    #expect(throws: PortMappingError.portZero) { try PCPResponse(parsing: pcp) }
    pcp[36] = 6
    #expect(throws: PortMappingError.protocolNumber(6)) { try PCPResponse(parsing: pcp) }
  }

  @Test("Only Internet gateways count among the devices that answer, and IGD 2 comes first")
  func devices() throws {
    func reply(_ type: String, _ location: String) -> SSDPReply? {
      let text =
        "HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=120\r\nST: \(type)\r\n"
        + "USN: uuid:1::\(type)\r\nEXT:\r\nSERVER: Debian\r\nLOCATION: \(location)\r\n\r\n"
      return SSDPReply(parsing: Array(text.utf8))
    }
    let first = "urn:schemas-upnp-org:device:InternetGatewayDevice:1"
    let second = "urn:schemas-upnp-org:device:InternetGatewayDevice:2"
    let old = try #require(reply(first, "http://192.168.1.1:5000/rootDesc.xml"))
    let new = try #require(reply(second, "http://192.168.1.1:5000/two.xml"))
    #expect(old.location.port == 5000 && old.location.path == "/rootDesc.xml")
    #expect([old, new].sorted(by: SSDPReply.precedes) == [new, old])
    #expect(reply("urn:schemas-upnp-org:device:MediaServer:1", "http://192.168.1.1/") == nil)
    for location in [
      "https://192.168.1.1/", "http://router/", "http://[::1]/", "http://192.168.1.1:0/",
      "http://192.168.1.1:70000/", "http://192.168.1.1/a b", "", "http://1.2.3.4@192.168.1.1/",
    ] {
      #expect(reply(first, location) == nil, "\(location)")
    }
    #expect(SSDPReply(parsing: Array("NOTIFY * HTTP/1.1\r\n\r\n".utf8)) == nil)
  }
}
