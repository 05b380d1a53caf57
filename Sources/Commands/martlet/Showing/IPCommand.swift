// SPDX-License-Identifier: Apache-2.0

import Addressing
import ArgumentParser
import CommandLine
import LocalAPI

/// `martlet ip`: the addresses of a machine.
struct IPCommand: DaemonCommand {
  static let configuration = CommandConfiguration(
    commandName: "ip",
    abstract: "Show the addresses of this machine or of a peer."
  )

  @OptionGroup var daemon: DaemonOptions
  @Flag(name: .customShort("1"), help: "Print one address only.")
  var isSingle = false
  @Flag(name: .customShort("4"), help: "Print the IPv4 address only.")
  var onlyV4 = false
  @Flag(name: .customShort("6"), help: "Print the IPv6 address only.")
  var onlyV6 = false
  @Option(
    name: .customLong("assert"),
    help: ArgumentHelp("Fail unless this machine has that address.", valueName: "ip")
  )
  var asserted: String?
  @Argument(help: "A peer's name or address.")
  var peer: String?

  func validate() throws {
    guard [isSingle, onlyV4, onlyV6].count(where: { $0 }) <= 1 else {
      throw ValidationError("-1, -4 and -6 are mutually exclusive")
    }
  }

  func run() async throws {
    let status = try await client.status(peers: peer != nil)
    if let asserted { return try assert(asserted, in: status) }
    var addresses = status.tailscaleIPs ?? []
    if let peer {
      addresses = try PeerFinder(status).find(peer).tailscaleIPs ?? []
    }
    guard !addresses.isEmpty else {
      throw CommandError("no current Martlet IPs; state: \(status.backendState)")
    }
    let chosen = addresses.filter { !(onlyV4 && !$0.isV4) && !(onlyV6 && $0.isV4) }
    guard !chosen.isEmpty else {
      throw CommandError("no Martlet \(onlyV4 ? "IPv4" : "IPv6") address")
    }
    for address in chosen.prefix(isSingle ? 1 : chosen.count) {
      output.print(address.description)
    }
  }

  private func assert(_ text: String, in status: Status) throws {
    guard let address = IPAddress(text) else {
      throw CommandError.usage("\"\(text)\" is no address")
    }
    guard status.tailscaleIPs?.contains(address) == true else {
      throw CommandError("assertion failed: \(address) is not an address of this machine")
    }
  }
}

/// Finds machines by what a person calls them.
struct PeerFinder {
  private let status: Status

  init(_ status: Status) { self.status = status }

  /// The machine with that address, short name or full name.
  ///
  /// - Throws: `CommandError` when there is none.
  func find(_ text: String) throws(CommandError) -> PeerStatus {
    let everyone = [status.selfStatus] + status.sortedPeers
    let name = text.hasSuffix(".") ? String(text.dropLast().lowercased()) : text.lowercased()
    let found =
      IPAddress(text).map { address in
        everyone.first { $0.tailscaleIPs?.contains(address) == true }
      } ?? everyone.first { Self.names(of: $0).contains(name) }
    guard let found else {
      throw CommandError(
        "no such peer: \(maskingKeys(text))",
        hint: "'martlet status' lists them."
      )
    }
    return found
  }

  /// The full name without its final dot, and its first part.
  private static func names(of peer: PeerStatus) -> [String] {
    let full = peer.dnsName.lowercased()
    guard !full.isEmpty else { return [] }
    let name = full.hasSuffix(".") ? String(full.dropLast()) : full
    return [name, String(name.prefix { $0 != "." })]
  }
}
