// SPDX-License-Identifier: Apache-2.0

import Addressing
import ArgumentParser
import CommandLine
import ControlProtocol
import JSON
import LocalAPI

/// `martlet whois`: who is behind an address.
struct WhoIsCommand: DaemonCommand {
  static let configuration = CommandConfiguration(
    commandName: "whois",
    abstract: "Show the machine and the user behind an address."
  )

  @OptionGroup var daemon: DaemonOptions
  @Option(help: .yesNo("Print JSON."))
  var json: Bool?
  @Option(
    name: .customLong("proto"),
    help: ArgumentHelp("The protocol of the port: tcp or udp.", valueName: "protocol")
  )
  var transport: String?
  @Argument(help: ArgumentHelp("An address, or an address and port.", valueName: "ip[:port]"))
  var address: String

  func run() async throws {
    guard IPAddress(address) != nil || Endpoint(address) != nil else {
      throw CommandError.usage(
        "\"\(maskingKeys(address))\" is no address",
        hint: "Give it as 100.64.0.1, 100.64.0.1:80 or [fd7a:115c:a1e0::1]:80."
      )
    }
    guard ["", "tcp", "udp"].contains(transport ?? "") else {
      throw CommandError.usage("--proto takes tcp or udp")
    }
    let answer = try await client.whoIs(address, transport: transport ?? "")
    if json ?? false {
      output.print(answer.text(indentation: "  "))
    } else {
      output.print(WhoIsText.text(answer), terminator: "")
    }
  }
}

/// Who is behind an address, for people.
enum WhoIsText {
  static func text(_ answer: WhoIsResponse) -> String {
    let node = answer.node
    let name = node.name.hasSuffix(".") ? String(node.name.dropLast()) : node.name
    var machine = [
      ("Name:", name), ("ID:", node.stableID), ("Addresses:", list(node.addresses)),
    ]
    let more = (node.allowedIPs ?? []).dropFirst(2)
    if !more.isEmpty { machine.append(("AllowedIPs:", list(Array(more)))) }
    if !node.tags.isEmpty { machine.append(("Tags:", node.tags.joined(separator: ", "))) }
    var text = "Machine:\n" + block(machine)
    if node.tags.isEmpty {
      let user = answer.userProfile
      text += "User:\n" + block([("Name:", user.loginName), ("ID:", String(user.id))])
    }
    let capabilities = (answer.capMap ?? [:]).sorted { $0.key < $1.key }
    if !capabilities.isEmpty { text += "Capabilities:\n" }
    for (capability, values) in capabilities {
      text += "  - \(printable(capability))" + (values.isEmpty ? "\n" : ":\n")
      for value in values { text += "      \(printable(value.text()))\n" }
    }
    return text
  }

  private static func list(_ prefixes: [IPPrefix]) -> String {
    "[" + prefixes.map(\.description).joined(separator: " ") + "]"
  }

  /// Names and values, the values below each other.
  private static func block(_ rows: [(name: String, value: String)]) -> String {
    let width = max(10, 7 + (rows.map(\.name.utf8.count).max() ?? 0))
    return rows.map { row in
      let space = String(repeating: " ", count: width - 2 - row.name.utf8.count)
      return "  " + row.name + space + printable(row.value) + "\n"
    }.joined()
  }
}
