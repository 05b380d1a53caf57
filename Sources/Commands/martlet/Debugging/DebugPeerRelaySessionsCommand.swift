// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLine
import JSON

/// `martlet debug peer-relay-sessions`: who meets at this node's peer relay.
struct DebugPeerRelaySessionsCommand: DaemonCommand {
  static let configuration = CommandConfiguration(
    commandName: "peer-relay-sessions",
    abstract: "Show the pairs of peers that this node carries packets for."
  )

  @OptionGroup var daemon: DaemonOptions

  func run() async throws {
    let bytes = try await client.ask("GET", "debug-peer-relay-sessions", timeout: .seconds(5))
    do throws(JSONError) {
      output.print(PeerRelayReport(try JSONValue(parsing: bytes)).text, terminator: "")
    } catch {
      throw CommandError("the daemon's answer cannot be read: \(error)")
    }
  }
}

/// The sessions of a peer relay, for people.
struct PeerRelayReport {
  /// What the daemon answered.
  let answer: JSONValue

  init(_ answer: JSONValue) { self.answer = answer }

  var text: String {
    guard let port = answer.object?["UDPPort"]?.int64 else {
      return """
        Server port: not configured (configure it with 'martlet set --relay-server-port=<PORT>')

        """
    }
    let sessions = answer.object?["Sessions"]?.array ?? []
    var text = "Server port: \(port)\nSessions count: \(sessions.count)\n"
    for session in sessions {
      let number = session.object?["VNI"]?.int64 ?? 0
      let one = session.object?["Client1"]?.object ?? [:]
      let other = session.object?["Client2"]?.object ?? [:]
      text += "VNI: \(number)\n"
      text += "  \(Self.direction(from: one, to: other))\n"
      text += "  \(Self.direction(from: other, to: one))\n"
    }
    return text
  }

  private static func direction(from one: JSONObject, to other: JSONObject) -> String {
    let packets = one["PacketsTx"]?.int64 ?? 0
    let bytes = one["BytesTx"]?.int64 ?? 0
    return "\(place(one)) --> \(place(other)), Packets: \(packets) Bytes: \(bytes)"
  }

  private static func place(_ client: JSONObject) -> String {
    let endpoint = client["Endpoint"]?.string ?? ""
    return (endpoint.isEmpty ? "<no handshake>" : endpoint)
      + "(\(client["ShortDisco"]?.string ?? ""))"
  }
}
