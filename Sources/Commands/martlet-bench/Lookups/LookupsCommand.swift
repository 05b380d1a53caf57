// SPDX-License-Identifier: Apache-2.0

import Addressing
import ArgumentParser
import CommandLine
import Cryptography
import HostIO
import PacketFilter
import Packets
import Timing

/// What `martlet-bench lookups` looks into.
enum LookupTable: String, CaseIterable, SettingValue {
  /// Addresses among the prefixes of peers.
  case prefixes
  /// Packets by the rules of a filter.
  case rules

  init?(settingText text: String) { self.init(rawValue: text) }

  static var expectation: String {
    "one of " + allCases.map(\.rawValue).joined(separator: ", ")
  }

  /// The sizes that are compared.
  var sizes: [Int] {
    switch self {
    case .prefixes: [10, 1000, 100_000]
    case .rules: [10, 1000, 10_000]
    }
  }
}

/// `martlet-bench lookups`: what finding a peer and judging a packet cost, in small tables and in large ones.
struct LookupsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "lookups",
    abstract: "Look addresses up among prefixes, and judge packets by rules.",
    discussion: """
      Each size is measured in turns with the others, and the fastest turn counts: what disturbs a \
      turn makes it slower, never faster. Under callgrind, `--toggle-collect='*measuredTurn*'` \
      counts the look-ups alone.
      """
  )

  /// How many different addresses or packets come, over and over.
  static let variety = 1024
  /// A filter has a bound, and a machine memory.
  private static let sizeMaximum = 1_000_000

  @Option(
    help: ArgumentHelp("Only this: \(LookupTable.expectation).", valueName: "table"),
    transform: settingValue
  )
  var table: LookupTable?
  @Option(help: ArgumentHelp("Only this many prefixes or rules.", valueName: "n"))
  var size: Int?
  @Option(help: ArgumentHelp("How many turns each size has (20).", valueName: "n"))
  var rounds = 20

  func run() throws {
    guard (1...10_000).contains(rounds) else {
      throw CommandError.usage("--rounds is from 1 to 10000")
    }
    guard (1...Self.sizeMaximum).contains(size ?? 1) else {
      throw CommandError.usage("--size is from 1 to \(Self.sizeMaximum)")
    }
    var entropy = Entropy(seed: 1)
    var cases: [(name: String, lookups: Lookups, nanoseconds: Double)] = []
    for table in LookupTable.allCases where self.table ?? table == table {
      for size in size.map({ [$0] }) ?? table.sizes {
        let lookups =
          switch table {
          case .prefixes: Lookups.prefixes(PrefixLookups(count: size, &entropy))
          case .rules: Lookups.rules(FilterLookups(count: size, &entropy))
          }
        cases.append(("\(table.rawValue)\(size)", lookups, .infinity))
      }
    }
    for _ in 0..<rounds {
      for place in cases.indices {
        cases[place].nanoseconds = min(cases[place].nanoseconds, try timed(cases[place].lookups))
      }
    }
    report { writer in
      for each in cases { writer.number(each.name, each.nanoseconds) }
    }
  }

  /// Nanoseconds of one of the look-ups, all of which have to succeed.
  private func timed(_ lookups: Lookups) throws -> Double {
    let begun = MonotonicClock.now()
    let hits = lookups.measuredTurn()
    let taken = MonotonicClock.now() - begun
    guard hits == Self.variety else {
      throw CommandError("of \(Self.variety) look-ups \(hits) found what is there")
    }
    return taken.inSeconds * 1e9 / Double(Self.variety)
  }
}

/// A table, and what is looked up in it.
private enum Lookups {
  case prefixes(PrefixLookups)
  case rules(FilterLookups)

  /// Looks everything up once, and tells how much was found.
  @inline(never)
  func measuredTurn() -> Int {
    switch self {
    case .prefixes(let prefixes): prefixes.run()
    case .rules(let rules): rules.run()
    }
  }
}

/// A table of prefixes, and addresses that lie in it.
private struct PrefixLookups {
  private var table = PrefixTable<Int32>()
  private let asked: [IPAddress]

  /// Prefixes of subnets, and addresses of nodes in both families.
  init(count: Int, _ entropy: inout Entropy) {
    var hosts: [IPAddress] = []
    for number in 0..<count {
      let address = Self.address(number)
      let length = number.isMultiple(of: 3) ? (address.isV4 ? 30 : 126) : (address.isV4 ? 32 : 128)
      if let prefix = IPPrefix(address, length: length) {
        _ = table.insert(Int32(truncatingIfNeeded: number), for: prefix)
      }
      hosts.append(address)
    }
    asked = (0..<LookupsCommand.variety).map { _ in hosts[Int(entropy.next() % UInt64(count))] }
  }

  /// Every fourth address is free, so that the prefixes of subnets overlap with nobody.
  private static func address(_ number: Int) -> IPAddress {
    let place = UInt64(number) * 4
    return number.isMultiple(of: 2)
      ? IPAddress(v4: 0x6440_0000 &+ UInt32(truncatingIfNeeded: place))
      : IPAddress(high: 0xFD7A_115C_A1E0_0000, low: place)
  }

  func run() -> Int {
    var hits = 0
    for address in asked where table[address] != nil { hits += 1 }
    return hits
  }
}

/// A filter, and packets that it lets in.
private struct FilterLookups {
  private let filter: Filter
  private let packets: [PacketView]

  /// Rules that let one node reach one port each.
  init(count: Int, _ entropy: inout Entropy) {
    let own = IPAddress(100, 127, 0, 1)
    func source(_ number: Int) -> IPAddress {
      IPAddress(v4: 0x6440_0000 &+ UInt32(truncatingIfNeeded: number))
    }
    func port(_ number: Int) -> UInt16 { UInt16(truncatingIfNeeded: 1 + number % 60_000) }
    filter = Filter(
      localNetworks: [IPPrefix(host: own)],
      rules: (0..<count).map { number in
        Rule(
          sources: AddressSet([IPPrefix(host: source(number))]),
          destinations: [
            Rule.Destination(
              AddressSet([IPPrefix(host: own)]),
              firstPort: port(number),
              lastPort: port(number)
            )
          ]
        )
      }
    )
    packets = (0..<LookupsCommand.variety).map { _ in
      let number = Int(entropy.next() % UInt64(count))
      let port = port(number)
      let upper: [UInt8] = [15, 160, UInt8(port >> 8), UInt8(port & 0xFF), 0, 8, 0, 0]
      var packet = IPPacket.build(from: source(number), to: own, proto: .udp, payload: upper)
      return packet.withPacketBytes { PacketView($0) }
    }
  }

  func run() -> Int {
    var flows = FlowTable()
    var hits = 0
    for packet in packets where filter.inbound(packet, flows: &flows) == .accept { hits += 1 }
    return hits
  }
}
