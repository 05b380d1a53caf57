// SPDX-License-Identifier: Apache-2.0

import Coordination
import Foundation
import JSON
import Testing

/// Policies with what a hosted service made of them, which are no part of this repository.
private enum Scenarios {
  static let folder: URL = {
    var url = URL(fileURLWithPath: #filePath)
    for _ in 0..<6 { url.deleteLastPathComponent() }
    return url.appendingPathComponent("shared/conformance/policy")
  }()

  static let files: [URL] = {
    let found = FileManager.default.enumerator(at: folder, includingPropertiesForKeys: nil)
    let urls = (found?.allObjects ?? []).compactMap { $0 as? URL }
    return urls.filter { $0.pathExtension == "json" }.sorted { $0.path < $1.path }
  }()
}

/// One line of a filter: from, how, to, which ports.
private func lines(of rules: JSONValue?) -> Set<String> {
  var lines: Set<String> = []
  for rule in rules?.array ?? [] {
    let sources = (rule["SrcIPs"]?.array ?? []).compactMap(\.string)
    let protocols = (rule["IPProto"]?.array ?? []).compactMap(\.int).sorted()
    for port in rule["DstPorts"]?.array ?? [] {
      let place =
        "\(protocols) \(port["IP"]?.string ?? "") \(port["Ports"]?["First"]?.int ?? -1)"
        + "-\(port["Ports"]?["Last"]?.int ?? -1)"
      for source in sources { lines.insert("\(source) -> \(place)") }
    }
    for grant in rule["CapGrant"]?.array ?? [] {
      let capabilities = (grant["CapMap"]?.object?.members ?? []).sorted { $0.name < $1.name }
      for capability in capabilities {
        let value = "\(capability.name)=\(canonical(capability.value))"
        for destination in grant["Dsts"]?.array ?? [] {
          let place = normal(destination.string ?? "")
          for source in sources.isEmpty ? ["nobody"] : sources {
            lines.insert("\(source) -> \(place) \(value)")
          }
        }
      }
    }
  }
  return lines
}

/// An address or a prefix, where an address and the prefix of its length are the same.
private func normal(_ text: String) -> String {
  for length in ["/32", "/128"] where text.hasSuffix(length) {
    return String(text.dropLast(length.count))
  }
  return text
}

/// JSON in which the order of members does not count.
private func canonical(_ value: JSONValue) -> String {
  switch value {
  case .object(let object):
    let members = object.members.sorted { $0.name < $1.name }
    return "{" + members.map { "\($0.name):\(canonical($0.value))" }.joined(separator: ",") + "}"
  case .array(let elements):
    return "[" + elements.map(canonical).joined(separator: ",") + "]"
  default: return value.text()
  }
}

/// An SSH rule, in which the order of the principals does not count.
private func sshLine(_ rule: JSONValue) -> String {
  guard var object = rule.object else { return "?" }
  let principals = Set((rule["principals"]?.array ?? []).map(canonical)).sorted()
  object["principals"] = .array(principals.map { .string($0) })
  return canonical(.object(object))
}

/// Where an evaluation and a scenario differ; none when they agree.
private func disagreements(_ scenario: JSONValue) throws -> [String] {
  let policy = scenario["policy"]?.string ?? scenario["policy"]?.text() ?? ""
  let result = try PolicyEvaluation.evaluate(
    policy: Array(policy.utf8),
    topology: scenario["topology"] ?? .null
  )
  let isValid = scenario["api_response_code"]?.int == 200
  let error = result.report["error"]?.string ?? ""
  guard result.isValid == isValid else {
    return [isValid ? "was refused: \(error)" : "was taken"]
  }
  guard isValid else {
    let wording = scenario["api_response_message"]?.string ?? ""
    return error.contains(wording) ? [] : ["wording: \(error) instead of \(wording)"]
  }
  var found: [String] = []
  for (name, captured) in scenario["nodes"]?.object?.members ?? [] {
    guard let own = result.report["nodes"]?[name] else {
      found.append("\(name) is missing")
      continue
    }
    let wanted = lines(of: captured["packet_filter_rules"])
    let got = lines(of: own["packet_filter_rules"])
    found += wanted.subtracting(got).sorted().prefix(3).map { "\(name) lacks \($0)" }
    found += got.subtracting(wanted).sorted().prefix(3).map { "\(name) has \($0)" }
    let wantedSSH = (captured["ssh_rules"]?.array ?? []).map(sshLine)
    let gotSSH = (own["ssh_rules"]?.array ?? []).map(sshLine)
    if wantedSSH != gotSSH { found.append("\(name) SSH \(gotSSH) instead of \(wantedSSH)") }
    let wantedPeers = (captured["peers"]?.array ?? [])
      .compactMap { $0["Name"]?.string?.split(separator: ".").first.map(String.init) }.sorted()
    let gotPeers = (own["peers"]?.array ?? []).compactMap(\.string)
    if scenario["capture_error"]?.string == nil, wantedPeers != gotPeers {
      found.append("\(name) sees \(gotPeers) instead of \(wantedPeers)")
    }
    let announced = scenario["topology"]?["nodes"]?[name]?["routable_ips"]?.array ?? []
    found += disagreements(onRoutes: captured, own, name, announced.compactMap(\.string))
    let attributes = own["cap_map"]?.object?.names ?? []
    let missing = attributes.filter { captured["self"]?["CapMap"]?[$0] == nil }
    if !missing.isEmpty { found.append("\(name) has attributes \(missing)") }
  }
  return found
}

private func disagreements(
  onRoutes captured: JSONValue,
  _ own: JSONValue,
  _ name: String,
  _ announced: [String]
) -> [String] {
  // Which of several routers is first is no matter of the policy: routes are looked at as a set,
  // without those that the node serves itself.
  let wanted = Set(
    (captured["peers"]?.array ?? []).flatMap { peer -> [String] in
      let addresses = (peer["Addresses"]?.array ?? []).compactMap(\.string)
      return (peer["AllowedIPs"]?.array ?? []).compactMap(\.string)
        .filter { !addresses.contains($0) }
    }
  ).subtracting(announced)
  let got = Set(
    (own["allowed_ips"]?.object?.members ?? []).flatMap { peer in
      (peer.value.array ?? []).compactMap(\.string)
        .filter { !$0.hasSuffix("/32") && !$0.hasSuffix("/128") }
    }
  ).subtracting(announced)
  return wanted == got ? [] : ["\(name) routes \(got.sorted()) instead of \(wanted.sorted())"]
}

@Suite("Captured scenarios")
struct ConformanceTests {
  @Test(
    "Policies come to what the hosted service made of them",
    .enabled(if: !Scenarios.files.isEmpty, "the captured scenarios are not here")
  )
  func scenarios() throws {
    var table: [String: (agree: Int, all: Int)] = [:]
    for file in Scenarios.files {
      let scenario = try JSONValue(parsing: Array(Data(contentsOf: file)))
      let category = scenario["category"]?.string ?? "?"
      let found = try disagreements(scenario)
      table[category, default: (0, 0)].all += 1
      if found.isEmpty { table[category]?.agree += 1 }
      for line in found.prefix(6) {
        Issue.record("\(file.lastPathComponent): \(line)")
      }
    }
    for (category, row) in table.sorted(by: { $0.key < $1.key }) {
      print("scenarios of \(category): \(row.agree) of \(row.all) agree")
    }
  }
}
