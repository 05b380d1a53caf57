// SPDX-License-Identifier: Apache-2.0

import Addressing
import Foundation
import HostIO
import HostSettings
import TestSupport
import Testing

@testable import HostConfiguration

/// Bytes that a kernel sent, as they came.
enum NetlinkCorpus {
  static let folder = URL(filePath: #filePath).deletingLastPathComponent()
    .appending(path: "../../../../Fixtures/Corpora/Netlink").standardized

  static func names() throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
  }

  static func bytes(_ name: String) throws -> [UInt8] {
    Array(try Data(contentsOf: folder.appending(path: name)))
  }

  static func messages(_ name: String) throws -> [NetlinkMessage] {
    try NetlinkMessage.parse(bytes(name)[...])
  }

  /// Reads bytes in every way that the module does; whatever they are, it must return or throw.
  ///
  /// - Returns: How many records were understood.
  static func readAll(_ bytes: [UInt8]) -> Int {
    guard let messages = try? NetlinkMessage.parse(bytes[...]) else { return 0 }
    var links: [LinkRecord] = []
    var addresses: [AddressRecord] = []
    var routes: [RouteRecord] = []
    var rules: [RuleRecord] = []
    for message in messages {
      do {
        if let link = try LinkRecord(message) { links.append(link) }
        if let address = try AddressRecord(message) { addresses.append(address) }
        if let route = try RouteRecord(message) { routes.append(route) }
        if let rule = try RuleRecord(message) { rules.append(rule) }
      } catch { continue }
      try? NetlinkSocket.acknowledged(message, "read a corpus")
    }
    for link in links {
      let current = RouterPlan.Current(
        link: link,
        addresses: addresses,
        routes: routes,
        rules: rules
      )
      _ = RouterPlan(RouterSettings(), current: current, families: [.v4, .v6])
    }
    _ = HostFacts(links: links, addresses: addresses, routes: routes).reachableAddresses()
    return links.count + addresses.count + routes.count + rules.count
  }
}

@Suite("Messages of the kernel")
struct NetlinkParserTests {
  @Test("A TUN interface is read with its name, kind and alias")
  func link() throws {
    let message = try #require(try NetlinkCorpus.messages("link-tun").first)
    let link = try #require(try LinkRecord(message))
    #expect(link.name == "martlet0")
    #expect(link.kind == "tun")
    #expect(link.alias == "martlet")
    #expect(link.mtu == 1500)
    #expect(!link.isUp)
    #expect(!link.isLoopback)
  }

  @Test("Addresses of both families are read with their prefix")
  func addresses() throws {
    let read = try NetlinkCorpus.messages("addresses").compactMap { try AddressRecord($0) }
    #expect(
      read.map(\.prefix.description) == [
        "127.0.0.1/8", "192.0.2.5/24", "::1/128", "2001:db8::5/64",
      ]
    )
    let event = try NetlinkCorpus.messages("event-address").compactMap { try AddressRecord($0) }
    #expect(event.map(\.prefix.description) == ["192.0.2.9/24"])
    let facts = HostFacts(links: [], addresses: read, routes: [])
    #expect(facts.interfaces.isEmpty)
  }

  @Test("Routes are read with gateway, metric, table and several next hops")
  func routes() throws {
    let v4 = try NetlinkCorpus.messages("routes-v4").compactMap { try RouteRecord($0) }
    let way = try #require(v4.first { $0.destination.length == 0 })
    #expect(way.gateway == IPAddress(192, 0, 2, 1))
    #expect(way.metric == 7)
    #expect(way.table == 254)
    let many = try #require(v4.first { $0.destination.description == "198.51.100.0/24" })
    #expect(many.interfaceIndex == way.interfaceIndex)
    let v6 = try NetlinkCorpus.messages("routes-v6").compactMap { try RouteRecord($0) }
    #expect(v6.contains { $0.destination.length == 0 && $0.gateway?.description == "2001:db8::1" })
    let far = try NetlinkCorpus.messages("routes-table-1053").compactMap { try RouteRecord($0) }
    #expect(far.map(\.table) == [1053])
    #expect(far.map(\.type) == [7])
  }

  @Test("Rules are read with mark, action, table and origin; ours are told from others")
  func rules() throws {
    let v4 = try NetlinkCorpus.messages("rules-v4").compactMap { try RuleRecord($0) }
    let ours = RouterPlan.ours(v4, HostGround())
    #expect(ours == [RouterPlan.rules(.v4, HostGround())[0]])
    let unmarked = try #require(v4.first { $0.priority == 5350 })
    #expect(unmarked.action == RuleRecord.Action.unreachable.rawValue)
    #expect(unmarked.mark == 0x5300_0000)
    #expect(unmarked.mask == 0xFF00_0000)
    let v6 = try NetlinkCorpus.messages("rules-v6").compactMap { try RuleRecord($0) }
    #expect(v6.first { $0.priority == 5370 }?.table == 1053)
    let removed = try #require(try NetlinkCorpus.messages("event-rule-removed").first)
    #expect(try RuleRecord(removed).map { RouterPlan.ours([$0], HostGround()).count } == 1)
    #expect(removed.port != 0)
  }

  @Test("A refusal carries the kernel's own words, an acknowledgement nothing")
  func refusal() throws {
    let refusal = try #require(try NetlinkCorpus.messages("error").first)
    do {
      try NetlinkSocket.acknowledged(refusal, "add a route")
      Issue.record("a refusal counted as done")
    } catch {
      #expect(error.code == 19)
      #expect(error.description.hasPrefix("cannot add a route: no such device"))
    }
    let done = try #require(try NetlinkCorpus.messages("acknowledgement").first)
    try NetlinkSocket.acknowledged(done, "add a route")
  }

  @Test("What is asked of the kernel reads back as it was meant")
  func roundTrip() throws {
    let prefix = try #require(IPPrefix("fd7a:115c:a1e0::7/128"))
    let request = AddressRecord.add(prefix, to: 9, name: "martlet0", origin: 53).finished(
      sequence: 5
    )
    let message = try #require(try NetlinkMessage.parse(request[...]).first)
    #expect(message.sequence == 5)
    let address = try #require(try AddressRecord(message))
    #expect(address.prefix == prefix)
    #expect(address.index == 9)
    #expect(address.origin == 53)
    for family in IPAddress.Family.allCases {
      for rule in RouterPlan.rules(family, HostGround()) {
        let bytes = rule.add().finished(sequence: 1)
        #expect(try RuleRecord(NetlinkMessage.parse(bytes[...])[0]) == rule)
      }
      let destination = IPPrefix.everything(family)
      let bytes = RouteRecord.add(destination, to: 3, table: 1053, origin: 53)
        .finished(sequence: 1)
      let route = try #require(try RouteRecord(NetlinkMessage.parse(bytes[...])[0]))
      #expect(route.destination == destination)
      #expect(route.table == 1053)
      #expect(route.interfaceIndex == 3)
    }
    let link = LinkRecord.configure(index: 4, name: "m", mtu: 1280, alias: "martlet")
    let read = try LinkRecord(NetlinkMessage.parse(link.finished(sequence: 1)[...])[0])
    #expect(read?.alias == "martlet")
    #expect(read?.mtu == 1280)
  }

  @Test("Lengths that do not fit what holds them are refused")
  func lengths() {
    let header: (UInt32) -> [UInt8] = { length in
      let bytes = (0..<4).map { UInt8(truncatingIfNeeded: length >> (8 * $0)) }
      return bytes + [UInt8](repeating: 0, count: 12)
    }
    for length in [0, 1, 15, 17, .max] as [UInt32] {
      #expect(throws: NetlinkError.badLength(Int(length), within: 16)) {
        try NetlinkMessage.parse(header(length)[...])
      }
    }
    #expect(throws: NetlinkError.truncated(needed: 16, got: 15)) {
      try NetlinkMessage.parse(header(16).dropLast())
    }
    for bytes in [[0, 0, 1, 0], [3, 0, 1, 0], [5, 0, 1, 0], [255, 255, 1, 0]] as [[UInt8]] {
      #expect(throws: NetlinkError.self) { try NetlinkAttribute.parse(bytes[...]) }
    }
    #expect(throws: NetlinkError.truncated(needed: 4, got: 3)) {
      try NetlinkAttribute.parse([8, 0, 1])
    }
  }

  @Test("A refusal that is cut short or names no number is an error all the same")
  func shortRefusal() {
    for body in [[], [1], [0, 0, 0], [0, 0, 0, 0x80]] as [[UInt8]] {
      let message = NetlinkMessage(kind: 2, body: body[...])
      do {
        try NetlinkSocket.acknowledged(message, "ask")
        Issue.record("\(body) counted as done")
      } catch {
        #expect(error.code == 74)
      }
    }
  }
}

@Suite("Malformed messages of the kernel")
struct NetlinkFuzzTests {
  @Test("Whole messages of the corpus are understood")
  func whole() throws {
    let names = try NetlinkCorpus.names()
    #expect(names.count >= 10)
    for name in names where !["done", "error", "acknowledgement"].contains(name) {
      #expect(NetlinkCorpus.readAll(try NetlinkCorpus.bytes(name)) > 0, "\(name)")
    }
  }

  @Test("Cut off at any byte, they are refused or understood in part")
  func truncated() throws {
    for name in try NetlinkCorpus.names() {
      let bytes = try NetlinkCorpus.bytes(name)
      for count in 0..<bytes.count { _ = NetlinkCorpus.readAll(Array(bytes.prefix(count))) }
    }
  }

  @Test("Cut off inside a message whose length was made to fit, they are refused or understood")
  func truncatedInside() throws {
    for name in try NetlinkCorpus.names() {
      let bytes = try NetlinkCorpus.bytes(name)
      let length = Int(bytes[0]) | Int(bytes[1]) << 8
      for count in 16..<max(16, length) {
        var cut = Array(bytes.prefix(count))
        cut[0] = UInt8(truncatingIfNeeded: count)
        cut[1] = UInt8(truncatingIfNeeded: count >> 8)
        _ = NetlinkCorpus.readAll(cut)
      }
    }
  }

  @Test("With any byte changed, they are refused or understood")
  func mutated() throws {
    for name in try NetlinkCorpus.names() {
      var bytes = try NetlinkCorpus.bytes(name)
      for index in bytes.indices {
        let original = bytes[index]
        for value in [0, 0xFF, original &+ 1] {
          bytes[index] = value
          _ = NetlinkCorpus.readAll(bytes)
        }
        bytes[index] = original
      }
    }
  }

  @Test("With many bytes changed at random, they are refused or understood")
  func random() throws {
    let seed: UInt64 = 0x6D61_7274_6C65_7430
    var generator = SeededGenerator(state: seed)
    let corpus = try NetlinkCorpus.names().map { try NetlinkCorpus.bytes($0) }
    for _ in 0..<2000 {
      guard var bytes = corpus.randomElement(using: &generator) else { continue }
      for _ in 0..<Int.random(in: 1...6, using: &generator) {
        guard let index = bytes.indices.randomElement(using: &generator) else { continue }
        bytes[index] = UInt8.random(in: 0...255, using: &generator)
      }
      _ = NetlinkCorpus.readAll(bytes)
    }
  }
}
