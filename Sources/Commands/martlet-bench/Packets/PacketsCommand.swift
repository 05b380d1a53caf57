// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLine
import HostIO
import Timing

/// `martlet-bench packets`: the per-packet path alone, from one pipeline to another.
struct PacketsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "packets",
    abstract: "Carry packets from one pipeline to another in memory.",
    discussion: """
      What a packet costs besides the kernel. Under callgrind, `--toggle-collect='*measuredOutbound*'` \
      or `'*measuredInbound*'` counts one direction alone.
      """
  )

  /// After so many runs, sessions and paths would want to be renewed.
  private static let runsMaximum = 1_000_000

  @Option(
    help: ArgumentHelp("What is carried: \(PacketKind.expectation).", valueName: "kind"),
    transform: settingValue
  )
  var kind = PacketKind.tcpTrain
  @Option(
    help: ArgumentHelp("How many runs, of 40 packets each (1000).", valueName: "n")
  )
  var count = 1000

  func run() throws {
    guard (1...Self.runsMaximum).contains(count) else {
      throw CommandError.usage("--count is from 1 to \(Self.runsMaximum)")
    }
    var pair = try PipelinePair()
    let begun = MonotonicClock.now()
    var (sealed, delivered) = (0, 0)
    for number in 0..<count {
      let run = pair.carry(kind, number: number)
      sealed += run.sealed
      delivered += run.delivered
    }
    let seconds = (MonotonicClock.now() - begun).inSeconds
    let expected = count * kind.packetCount * kind.runLength
    guard sealed == expected, delivered == expected, pair.drops == 0 else {
      throw CommandError("of \(expected) packets \(sealed) were sealed and \(delivered) arrived")
    }
    report { writer in
      writer.text("kind", kind.rawValue)
      writer.number("packets", expected)
      writer.number("nanosecondsEach", seconds * 1e9 / Double(expected))
    }
  }
}
