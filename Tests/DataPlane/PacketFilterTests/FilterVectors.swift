// SPDX-License-Identifier: Apache-2.0

import Addressing
import Foundation
import PacketFilter
import Packets

/// `Fixtures/Vectors/packet_filter.json`.
struct FilterVectors: Decodable {
  struct Rule: Decodable {
    struct Ports: Decodable {
      var first: UInt16
      var last: UInt16

      enum CodingKeys: String, CodingKey {
        case first = "First"
        case last = "Last"
      }
    }
    struct Destination: Decodable {
      var address: String
      var ports: Ports

      enum CodingKeys: String, CodingKey {
        case address = "IP"
        case ports = "Ports"
      }
    }
    var sources: [String]
    var destinations: [Destination]
    var protocols: [Int]?

    enum CodingKeys: String, CodingKey {
      case sources = "SrcIPs"
      case destinations = "DstPorts"
      case protocols = "IPProto"
    }
  }

  struct Case: Decodable {
    var proto: UInt8
    var src: String
    var dst: String
    var dport: UInt16?
    var syn: Bool?
    var icmp: String?
    var accept: Bool
  }

  struct Parse: Decodable {
    var input: String
    var out: [String]?
    var cap: String?
    var error: Bool?

    enum CodingKeys: String, CodingKey {
      case input = "in"
      case out
      case cap
      case error
    }
  }

  struct Quirks: Decodable {
    var rules: [Rule]
    var localNets: [String]
    var nodeCapsBySource: [String: [String]]
    var cases: [Case]
  }

  var rules: [Rule]
  var localNets: [String]
  var nodeCapsBySource: [String: [String]]
  var cases: [Case]
  var ipSetParse: [Parse]
  var quirkSet: Quirks

  static func load() throws -> FilterVectors {
    let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("../../../Fixtures/Vectors/packet_filter.json")
    return try JSONDecoder().decode(FilterVectors.self, from: Data(contentsOf: path))
  }

  static func filter(
    _ rules: [Rule],
    _ localNetworks: [String],
    _ capabilities: [String: [String]]
  ) -> Filter {
    var problems: [AddressTextError] = []
    var holders: [String: Set<IPAddress>] = [:]
    for (source, names) in capabilities {
      for name in names {
        if let address = IPAddress(source) { holders[name, default: []].insert(address) }
      }
    }
    return Filter(
      localNetworks: localNetworks.compactMap { IPPrefix($0) },
      rules: rules.map { rule in
        PacketFilter.Rule(
          sources: rule.sources,
          destinations: rule.destinations.map { ($0.address, $0.ports.first, $0.ports.last) },
          protocols: rule.protocols ?? [],
          problems: &problems
        )
      },
      capabilityHolders: holders
    )
  }
}

/// Packets with nothing but what the filter looks at.
enum Sample {
  static func view(_ packet: [UInt8]) -> PacketView {
    var copy = packet
    return copy.withPacketBytes { PacketView($0) }
  }

  static func packet(
    _ proto: UInt8,
    _ source: IPAddress,
    _ destination: IPAddress,
    port: UInt16 = 0,
    sourcePort: UInt16 = 999,
    syn: Bool = true,
    icmp: String = "echo-request"
  ) -> [UInt8] {
    let isV4 = source.isV4
    var payload: [UInt8] = [
      UInt8(sourcePort >> 8), UInt8(sourcePort & 255), UInt8(port >> 8), UInt8(port & 255),
    ]
    switch proto {
    case 6: payload += [0, 0, 0, 0, 0, 0, 0, 0, 0x50, syn ? 2 : 16, 0, 0, 0, 0, 0, 0]
    case 1, 58:
      switch icmp {
      case "echo-reply": payload = [isV4 ? 0 : 129, 0, 0, 0, 0, 0, 0, 0]
      case "error": payload = [isV4 ? 3 : 1, 0, 0, 0, 0, 0, 0, 0]
      default: payload = [isV4 ? 8 : 128, 0, 0, 0, 0, 0, 0, 0]
      }
    default: payload += [0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    }
    return IPPacket.build(
      from: source,
      to: destination,
      proto: IPProtocol(rawValue: proto),
      payload: payload
    )
  }
}
