// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLine
import Glibc
import Simulation
import Timing

/// Explores what real nodes do in a simulated internet.
@main
struct MartletSimulate: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "martlet-simulate",
    abstract: "Runs real nodes in a simulated internet, and looks for what must never be.",
    discussion: """
      Every seed stands for a scenario: networks with their NATs, nodes, relays, and what breaks and \
      heals. Violations are printed with the command that runs the scenario again.

      Exit codes: 0 nothing was found, 1 something was, 2 not understood.
      """,
    version: Version.long
  )

  @Option(help: "How many scenarios to run.") var seeds: UInt64 = 200
  @Option(help: "The first seed, or with --trace the only one.") var seed: UInt64 = 1
  @Flag(help: "Run the one scenario of --seed and print what happens in it.") var trace = false
  @Option(
    help:
      "Write the table of NAT pairs to FILE.md, its picture to FILE.svg, and what changes when routers map ports to FILE-port-mapping.md, each pair tried with --seeds."
  )
  var matrix: String?

  static func main() async {
    beRepeatable()
    await Program.main(MartletSimulate.self)
  }

  /// Starts anew with hashing that is the same in every run: the order of sets and dictionaries
  /// decides, among equals, what comes first.
  private static func beRepeatable() {
    let name = "SWIFT_DETERMINISTIC_HASHING"
    guard unsafe getenv(name) == nil else { return }
    // SAFETY: both strings outlive the call.
    _ = unsafe setenv(name, "1", 1)
    // SAFETY: the arguments of the process are a list that ends with nil; only a failure returns.
    unsafe execv("/proc/self/exe", CommandLine.unsafeArgv)
  }

  func validate() throws {
    guard seeds > 0, seeds <= 1_000_000, seed <= UInt64.max - seeds else {
      throw ValidationError("--seeds is a number from 1 to 1000000.")
    }
  }

  func run() throws {
    if let matrix { return try write(matrix) }
    guard !trace else { return try show() }
    var (asked, answered, direct, relayed, failures) = (0, 0, 0, 0, 0)
    for seed in seed..<seed + seeds {
      let trial = Trial(Scenario(seed: seed), seed: seed)
      asked += trial.talks.asked
      answered += trial.talks.answered
      direct += trial.pairs.direct
      relayed += trial.pairs.relayed
      guard !trial.violations.isEmpty else { continue }
      failures += 1
      output.print("seed \(seed): martlet-simulate --seed \(seed) --trace")
      for violation in trial.violations { output.print("  " + violation) }
    }
    output.print(
      "\(seeds) scenarios, \(failures) with violations; \(asked) questions, \(answered) answered; "
        + "\(direct) pairs direct at the end, \(relayed) relayed"
    )
    if failures > 0 { throw ExitCode.failure }
  }

  private func show() throws {
    let scenario = Scenario(seed: seed)
    output.print("\(scenario.topology)")
    for planned in scenario.changes { output.print("\(planned.after): \(planned.change)") }
    let trial = Trial(scenario, seed: seed) { now, text in
      output.print("\(now.nanoseconds / 1_000_000) ms: \(text)")
    }
    for violation in trial.violations { output.print("violation: " + violation) }
    if !trial.violations.isEmpty { throw ExitCode.failure }
  }

  private func write(_ name: String) throws {
    let found = NATMatrix(seeds: seed..<seed + seeds)
    let mapped = NATMatrix(seeds: seed..<seed + seeds, rowsOffer: PortMappingBehaviour())
    let files = [
      (".md", found.markdown), (".svg", found.picture), ("-port-mapping.md", mapped.markdown),
    ]
    for (suffix, text) in files {
      let path = "\(name)\(suffix)"
      guard let file = unsafe fopen(path, "w") else {
        throw CommandError("cannot write \(path): \(unsafe String(cString: strerror(errno)))")
      }
      let isWritten = unsafe fputs(text, file) >= 0
      guard unsafe fclose(file) == 0, isWritten else {
        throw CommandError("cannot write \(path): \(unsafe String(cString: strerror(errno)))")
      }
    }
    output.print(found.markdown)
    output.print(mapped.markdown)
    guard (found.cells + mapped.cells).allSatisfy({ $0.allSatisfy(\.agrees) }) else {
      throw ExitCode.failure
    }
  }
}
