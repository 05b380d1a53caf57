// SPDX-License-Identifier: Apache-2.0

import Addressing
import ArgumentParser
import CommandLine
import LocalAPI

/// `martlet ping`: asks a peer whether it is there, and shows the path to it.
struct PingCommand: DaemonCommand {
  static let configuration = CommandConfiguration(
    commandName: "ping",
    abstract: "Ping a peer through the network, and show which path it takes.",
    discussion: """
      Without --tsmp and --icmp it sends discovery messages, which tell the path, and ends with the \
      first answer over a direct one.
      """
  )

  @OptionGroup var daemon: DaemonOptions
  @Option(help: .yesNo("Say more."))
  var verbose: Bool?
  @Option(help: .yesNo("End with the first answer over a direct path (true)."))
  var untilDirect: Bool?
  @Option(help: .yesNo("Ping inside the tunnel; the peer's node answers."))
  var tsmp: Bool?
  @Option(help: .yesNo("Ping inside the tunnel; the peer's host answers."))
  var icmp: Bool?
  @Option(
    name: .customShort("c"),
    parsing: .unconditional,
    help: ArgumentHelp("How many pings at most; 0 for as many as it takes (10).", valueName: "n")
  )
  var count: Int?
  @Option(
    help: ArgumentHelp("How long to wait for each answer (5s).", valueName: "duration"),
    transform: settingValue
  )
  var timeout: Duration?
  @Option(help: ArgumentHelp("The size of the message in bytes.", valueName: "n"))
  var size: Int?
  @Argument(help: "The peer's name or address.")
  var peer: String

  func validate() throws {
    guard !(tsmp ?? false) || !(icmp ?? false) else {
      throw ValidationError("--tsmp and --icmp are mutually exclusive")
    }
    guard (count ?? 0) >= 0 else { throw ValidationError("-c takes a number from 0 up") }
    guard (0...65_535).contains(size ?? 0) else {
      throw ValidationError("--size takes a number from 0 to 65535")
    }
  }

  func run() async throws {
    let client = client
    let status = try await client.status()
    guard status.state == .running || status.state == .starting else {
      throw CommandError(
        "this machine is not connected; state: \(status.backendState)",
        hint: "Run 'martlet up'."
      )
    }
    let address = try address(in: status)
    if verbose ?? false, IPAddress(peer) == nil {
      output.complain("lookup \(maskingKeys(peer)) => \(address)")
    }
    if status.tailscaleIPs?.contains(address) == true {
      return output.print("\(address) is local Martlet IP")
    }
    try await Pinging(
      client: client,
      output: output,
      address: address,
      kind: tsmp ?? false ? .tsmp : icmp ?? false ? .icmp : .disco,
      count: count ?? 10,
      timeout: timeout ?? .seconds(5),
      size: size ?? 0,
      untilDirect: untilDirect ?? true
    ).run()
  }

  private func address(in status: Status) throws(CommandError) -> IPAddress {
    if let address = IPAddress(peer) { return address }
    guard let address = try PeerFinder(status).find(peer).tailscaleIPs?.first else {
      throw CommandError("\(maskingKeys(peer)) has no address")
    }
    return address
  }
}

/// One run of pings.
struct Pinging {
  let client: LocalClient
  let output: Output
  let address: IPAddress
  let kind: PingKind
  /// How many at most; 0 for no bound.
  let count: Int
  let timeout: Duration
  let size: Int
  let untilDirect: Bool

  /// Pings until the wanted answer came, or `count` is reached.
  func run() async throws {
    var hadAnswer = false
    var sent = 0
    while true {
      let result = try await client.ping(address, kind: kind, size: size, timeout: timeout)
      sent += 1
      if let result {
        if !result.error.isEmpty { throw CommandError(result.error) }
        hadAnswer = true
        output.print(PingText.line(result, kind: kind))
        if kind != .disco || untilDirect && !result.endpoint.isEmpty { return }
      } else {
        output.print("ping \"\(address)\" timed out")
      }
      guard count == 0 || sent < count else { break }
      try await Task.sleep(for: .seconds(1))
    }
    guard hadAnswer else { throw CommandError("no reply") }
    if untilDirect { throw CommandError("direct connection not established") }
  }
}

/// How an answer to a ping is shown.
enum PingText {
  static func line(_ result: PingResult, kind: PingKind) -> String {
    let latency = DurationText.rounded(.seconds(result.latencySeconds), to: .milliseconds(1))
    let port = result.peerAPIPort == 0 ? "" : ", \(result.peerAPIPort)"
    let way = printable(path(of: result, kind))
    return "pong from \(printable(result.nodeName)) (\(result.nodeIP)\(port)) via \(way) in "
      + DurationText.format(latency)
  }

  private static func path(of result: PingResult, _ kind: PingKind) -> String {
    if kind != .disco { return kind.rawValue }
    if !result.peerRelay.isEmpty { return "peer-relay(\(result.peerRelay))" }
    return result.endpoint.isEmpty ? "DERP(\(result.derpRegionCode))" : result.endpoint
  }
}
