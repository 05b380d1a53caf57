// SPDX-License-Identifier: Apache-2.0

import Addressing
import Cryptography
import PortMapping
import Timing

extension FuzzTarget {
  static let portMapping = [
    FuzzTarget("PortMappingMessages") { bytes in
      if let reply = SSDPReply(parsing: bytes) {
        claim(reply.location.port != 0, "a device at port 0")
        claim(reply.location.path.utf8.allSatisfy { (0x21...0x7E).contains($0) }, "a wild path")
      }
      if let answer = try? PCPResponse(parsing: bytes),
        case .mapped(_, _, let external) = answer.body
      {
        claim(external.port != 0 || answer.lifetimeSeconds == 0, "a mapping of port 0")
      }
      _ = try NATPMPResponse(parsing: bytes)
    },
    FuzzTarget("GatewayDocuments") { bytes in
      let text =
        "HTTP/1.1 200 OK\r\nUSN: a:InternetGatewayDevice:1\r\nLOCATION: http://1.2.3.4/a/b\r\n\r\n"
      if let reply = SSDPReply(parsing: Array(text.utf8)),
        let found = try? DeviceDescription(parsing: bytes, at: reply.location)
      {
        claim(found.services.count <= DeviceDescription.maximumServices, "too many services")
        for service in found.services {
          let path = service.control.path.utf8
          claim(path.first == UInt8(ascii: "/"), "a path without a root")
          claim(path.allSatisfy { (0x21...0x7E).contains($0) }, "a path that ends a line")
        }
      }
      _ = try SOAPResponse(parsing: bytes)
    },
    // Orders: 0 an answer, 1 a search reply, 2 an announcement, 3 a document, 4 time passes, 5 the end.
    FuzzTarget("PortMapper") { bytes in
      var world = GatewayWorld()
      for (order, body) in Script(bytes).prefix(64) { world.perform(order, body) }
    },
  ]
}

/// A mapper behind a gateway that says what the input says.
private struct GatewayWorld {
  private let gateway = IPAddress(192, 168, 1, 1)
  private var mapper = PortMapper(entropy: Entropy(seed: 9))
  private var now = Instant(nanoseconds: 1_000_000_000)
  private var lastRequest: UInt64 = 0

  init() {
    var effects = PortMapperEffects()
    let attachment = GatewayAttachment(gateway: gateway, own: IPAddress(192, 168, 1, 2))
    mapper.attach(to: attachment, port: 41_641, at: now, into: &effects)
    mapper.want(true, at: now, into: &effects)
  }

  mutating func perform(_ order: Int, _ body: [UInt8]) {
    var effects = PortMapperEffects()
    let server = Endpoint(gateway, port: 5351)
    switch order % 6 {
    case 0: mapper.receive(body, from: server, at: now, into: &effects)
    case 1:
      mapper.receive(body, from: Endpoint(gateway, port: 1900), at: now, into: &effects)
    case 2: mapper.receiveAnnouncement(body, from: server, at: now, into: &effects)
    case 3: mapper.received(body, for: lastRequest, at: now, into: &effects)
    case 4:
      now = now + .milliseconds(Int64(body.first ?? 0) * 100)
      mapper.handleTimeouts(at: now, into: &effects)
    default:
      mapper.want(body.isEmpty, at: now, into: &effects)
    }
    lastRequest = effects.requests.last?.id ?? lastRequest
    claim(mapper.mapping?.external.port != 0, "port 0 is mapped")
    for request in effects.requests {
      claim(request.server.address == gateway, "somebody else is asked")
    }
    for send in effects.sends {
      let isKnown = send.destination.address == gateway || send.destination == SSDPSearch.group
      claim(isKnown, "somebody else is sent to")
    }
  }
}
