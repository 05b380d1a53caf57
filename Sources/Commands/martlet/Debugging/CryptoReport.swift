// SPDX-License-Identifier: Apache-2.0

import CommandLine
import Cryptography
import JSON

/// What `martlet debug crypto` found out.
struct CryptoReport {
  let choice: PacketBackendChoice
  /// What the running daemon uses, if it told.
  var daemon: String?
  var speeds: [CryptoSpeed] = []

  init(_ choice: PacketBackendChoice) { self.choice = choice }

  func isMeasured(_ backend: PacketBackend.Name) -> Bool {
    speeds.contains { $0.backend == backend }
  }

  /// The backend that a daemon's metrics name.
  static func backend(inMetrics text: String) -> String? {
    let start = "martlet_packet_cipher{backend=\""
    guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix(start) }) else {
      return nil
    }
    return String(line.dropFirst(start.count).prefix { $0 != "\"" })
  }

  // MARK: For people

  var text: String {
    var table = Table()
    for finding in choice.findings {
      table.add(finding.name.rawValue + ":", state(finding))
    }
    table.add("daemon:", daemon.map { "uses \($0)" } ?? "not asked (not running, or not allowed)")
    var figures = Table()
    figures.add("BACKEND", "BYTES", "TRAIN", "SEAL NS", "OPEN NS", "GBIT/S")
    for speed in speeds {
      figures.add(
        speed.backend.rawValue,
        "\(speed.size)",
        "\(speed.trainLength)",
        Self.rounded(speed.sealing),
        Self.rounded(speed.opening),
        Self.rounded(speed.gigabits)
      )
    }
    return table.text + "\n" + figures.text
  }

  private func state(_ finding: PacketBackendChoice.Finding) -> String {
    if let refusal = finding.refusal { return "not used: \(refusal)" }
    return finding.name == choice.backend.name
      ? "used; passed the self-test" : "available; passed the self-test"
  }

  /// With one digit behind the point.
  private static func rounded(_ value: Double) -> String {
    guard value.isFinite, value < 1e12 else { return "-" }
    let tenths = Int((value * 10).rounded())
    return "\(tenths / 10).\(tenths % 10)"
  }

  // MARK: For programs

  var json: JSONValue {
    var members: JSONObject = ["Chosen": .string(choice.backend.name.rawValue)]
    if let daemon { members["Daemon"] = .string(daemon) }
    members["Backends"] = .array(choice.findings.map(Self.json))
    members["Speeds"] = .array(speeds.map(Self.json))
    return .object(members)
  }

  private static func json(_ finding: PacketBackendChoice.Finding) -> JSONValue {
    var members: JSONObject = [
      "Name": .string(finding.name.rawValue), "Usable": .bool(finding.refusal == nil),
    ]
    if let refusal = finding.refusal {
      members["Why"] = .string("\(refusal)")
    } else {
      members["SelfTest"] = .string("passed")
    }
    return .object(members)
  }

  private static func json(_ speed: CryptoSpeed) -> JSONValue {
    .object([
      "Backend": .string(speed.backend.rawValue), "Bytes": .integer(Int64(speed.size)),
      "Train": .integer(Int64(speed.trainLength)), "SealNanoseconds": .number(speed.sealing),
      "OpenNanoseconds": .number(speed.opening), "GigabitsPerSecond": .number(speed.gigabits),
    ])
  }
}
