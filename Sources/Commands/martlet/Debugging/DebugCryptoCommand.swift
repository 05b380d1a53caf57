// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLine
import Cryptography
import HostIO
import JSON

/// `martlet debug crypto`: what packets are sealed with here, and how fast that is.
struct DebugCryptoCommand: DaemonCommand {
  static let configuration = CommandConfiguration(
    commandName: "crypto",
    abstract: "Show what packets are sealed with on this machine, why, and how fast.",
    discussion: """
      Tries every backend with known answers and measures it on one core for a moment. The daemon \
      need not run; what a running one uses is shown to those who may change its settings.
      """
  )

  @OptionGroup var daemon: DaemonOptions
  @Option(help: .yesNo("Print JSON."))
  var json: Bool?

  func run() async throws {
    let choice: PacketBackendChoice
    do throws(HostError) {
      choice = try PacketBackendChoice.onThisHost()
    } catch {
      throw CommandError("\(error)")
    }
    var report = CryptoReport(choice)
    report.daemon = await daemonBackend()
    for backend in [choice.backend, .boringSSL] where !report.isMeasured(backend.name) {
      report.speeds += CryptoSpeed.measure(backend)
    }
    output.print(
      json ?? false ? report.json.text(indentation: "  ") : report.text,
      terminator: json ?? false ? "\n" : ""
    )
  }

  /// What a running daemon uses; nil when there is none, or it does not tell us.
  private func daemonBackend() async -> String? {
    // Without a daemon, or without the right to ask it, the rest is still worth showing.
    guard let bytes = try? await client.ask("GET", "metrics", timeout: .seconds(5)) else {
      return nil
    }
    return CryptoReport.backend(inMetrics: String(decoding: bytes, as: UTF8.self))
  }
}
