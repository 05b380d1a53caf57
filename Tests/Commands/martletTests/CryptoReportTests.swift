// SPDX-License-Identifier: Apache-2.0

import Cryptography
import JSON
import Testing

@testable import martlet

@Suite("What packets are sealed with")
struct CryptoReportTests {
  private static func report(
    _ refusal: PacketBackendRefusal,
    wanting wanted: PacketBackend.Name? = nil
  ) throws -> CryptoReport {
    CryptoReport(try PacketBackendChoice(wanting: wanted) { .failure(refusal) })
  }

  @Test("A backend that cannot be used is named with the reason, in words and as JSON")
  func refused() throws {
    let refusals: [PacketBackendRefusal] = [
      .notInstalled("no such file"), .symbol("alloc_mb_mgr"), .processor, .version("2.0.1"),
      .layout, .leavesSecrets, .setup, .selfTest("sealing 64 bytes"),
    ]
    for refusal in refusals {
      let report = try Self.report(refusal)
      let lines = report.text.split(separator: "\n")
      #expect(lines.contains { $0.hasPrefix("ipsec-mb:") && $0.contains("not used: \(refusal)") })
      #expect(lines.contains { $0.hasPrefix("boringssl:") && $0.contains("used; passed") })
      let json = report.json.text(indentation: "").filter { !$0.isWhitespace }
      #expect(json.contains("\"Chosen\":\"boringssl\""))
      #expect(json.contains("\"Usable\":false"))
    }
  }

  @Test("What the running daemon uses is read out of its metrics, and told only if it was")
  func daemon() throws {
    var report = try Self.report(.processor)
    #expect(report.text.contains("not asked"))
    let metrics = """
      # TYPE martlet_packet_cipher gauge
      martlet_packet_cipher{backend="ipsec-mb"} 1
      other 1
      """
    report.daemon = CryptoReport.backend(inMetrics: metrics)
    #expect(report.text.contains("uses ipsec-mb"))
    for text in ["", "martlet_packet_cipher", "# martlet_packet_cipher{backend=\"x\"}"] {
      #expect(CryptoReport.backend(inMetrics: text) == nil)
    }
    #expect(CryptoReport.backend(inMetrics: "martlet_packet_cipher{backend=\"") == "")
  }

  @Test("Every figure is of a backend, a size and a length of trains, and above nothing")
  func speeds() {
    let speeds = CryptoSpeed.measure(.boringSSL)
    #expect(speeds.count == CryptoSpeed.sizes.count * CryptoSpeed.trainLengths.count)
    for speed in speeds {
      #expect(speed.backend == .boringSSL)
      #expect(speed.sealing > 0 && speed.opening > 0 && speed.gigabits > 0)
    }
  }
}
