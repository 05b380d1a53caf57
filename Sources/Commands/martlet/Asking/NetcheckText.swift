// SPDX-License-Identifier: Apache-2.0

import Addressing
import CommandLine
import ControlProtocol
import LocalAPI
import Timing

/// A report on the network, for people.
enum NetcheckText {
  static func text(_ report: NetcheckReport, regions: [Int: DERPRegion]) -> String {
    var lines = [
      "Time: \(report.now)", "UDP: \(report.udp)", "IPv4: \(ipv4(report))",
      "IPv6: \(ipv6(report))",
      "MappingVariesByDestIP: \(report.mappingVariesByDestIP.map { String($0) } ?? "")",
      "PortMapping: \(portMapping(report))",
    ]
    if let isCaptive = report.captivePortal { lines.append("CaptivePortal: \(isCaptive)") }
    lines.append("Nearest DERP: \(nearest(report, regions))")
    var text = "\nReport:\n" + lines.map { "\t* \(printable($0))\n" }.joined()
    guard !report.regionLatency.isEmpty else { return text }
    text += "\t* DERP latency:\n"
    for (number, latency) in sorted(report, regions) {
      let code = printable(regions[number]?.regionCode ?? String(number))
      let time =
        latency.map { DurationText.format(DurationText.rounded($0, to: .microseconds(100))) } ?? ""
      text +=
        "\t\t- \(padded(code, left: 3)): \(padded(time, right: 7))"
        + " (\(printable(regions[number]?.regionName ?? "")))\n"
    }
    return text
  }

  private static func ipv4(_ report: NetcheckReport) -> String {
    report.globalV4.map { "yes, \($0)" } ?? "(no addr found)"
  }

  private static func ipv6(_ report: NetcheckReport) -> String {
    if let endpoint = report.globalV6 { return "yes, \(endpoint)" }
    if report.ipv6 { return "(no addr found)" }
    return report.osHasIPv6 ? "no, but OS has support" : "no, unavailable in OS"
  }

  private static func portMapping(_ report: NetcheckReport) -> String {
    let found = [("UPnP", report.upnp), ("NAT-PMP", report.pmp), ("PCP", report.pcp)]
    return found.filter { $0.1 == true }.map(\.0).joined(separator: ", ")
  }

  private static func nearest(_ report: NetcheckReport, _ regions: [Int: DERPRegion]) -> String {
    guard !report.regionLatency.isEmpty else { return "unknown (no response to latency probes)" }
    return regions[report.preferredDERP]?.regionName ?? String(report.preferredDERP)
  }

  /// The regions, the nearest first and those that did not answer last.
  private static func sorted(
    _ report: NetcheckReport,
    _ regions: [Int: DERPRegion]
  ) -> [(Int, Duration?)] {
    let numbers = Set(regions.keys).union(report.regionLatency.keys)
    return numbers.map { ($0, report.regionLatency[$0]) }.sorted { left, right in
      switch (left.1, right.1) {
      case (let one?, let other?) where one != other: one < other
      case (_?, nil): true
      case (nil, _?): false
      default: left.0 < right.0
      }
    }
  }

  private static func padded(_ text: String, left width: Int) -> String {
    String(repeating: " ", count: max(0, width - text.count)) + text
  }

  private static func padded(_ text: String, right width: Int) -> String {
    text + String(repeating: " ", count: max(0, width - text.count))
  }
}
