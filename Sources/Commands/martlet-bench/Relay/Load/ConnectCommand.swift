// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLine
import HostIO
import JSON
import Timing

/// `martlet-bench derp connect`: clients that come and then are silent.
struct ConnectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "connect",
    abstract: "Connect many clients to a relay, and keep them.",
    discussion: """
      With --at-once as many as --clients, this is a storm: all connect at the same time. With \
      --hold the clients stay, silent, until the standard input ends.
      """
  )

  @OptionGroup var target: MeasuredRelay
  @Option(help: ArgumentHelp("How many clients (1000).", valueName: "n"))
  var clients = 1000
  @Option(help: ArgumentHelp("How many of them connect at the same time (64).", valueName: "n"))
  var atOnce = 64
  @Flag(help: "Stay connected until the standard input ends.")
  var hold = false

  private struct Outcome: Sendable {
    let failed: Int
    let why: String
    let gone: Int
  }

  func run() throws {
    guard clients >= target.threads, atOnce > 0 else {
      throw CommandError.usage("--clients is one a thread or more, --at-once more than zero")
    }
    let begun = MonotonicClock.now()
    let command = self
    let barrier = LoadBarrier(target.threads)
    let ending = LoadBarrier(1)
    let waiting = try DataThread(name: "ending") {
      while !barrier.isOpen { LoadPause.rest(.milliseconds(5)) }
      command.tellConnected(after: MonotonicClock.now() - begun)
      while command.hold, readLine() != nil {}
      ending.arrive()
    }
    let outcomes = try target.onAllThreads { worker, number in
      defer { if worker.clients.isEmpty { barrier.arrive() } }
      let (count, threads) = (command.clients, command.target.threads)
      let share = count * (number + 1) / threads - count * number / threads
      try worker.connect(share, atOnce: max(1, command.atOnce / threads))
      let failed = worker.failures
      barrier.arrive()
      while !ending.isOpen { try worker.turn(until: MonotonicClock.now() + .milliseconds(50)) }
      let gone = worker.failures.count - failed.count
      return Outcome(failed: failed.count, why: failed.first, gone: gone)
    }
    waiting.join()
    report { writer in
      writer.number("clients", clients)
      writer.number("failed", outcomes.reduce(0) { $0 + $1.failed })
      writer.number("gone", outcomes.reduce(0) { $0 + $1.gone })
      writer.text("why", outcomes.map(\.why).first { !$0.isEmpty } ?? "")
    }
  }

  private func tellConnected(after duration: Duration) {
    report { writer in writer.number("connectedAfterSeconds", duration.inSeconds) }
  }
}

/// Sleeps on a thread of its own.
enum LoadPause {
  static func rest(_ duration: Duration) {
    // Without a poller there is nothing to sleep on, and looking again at once does no harm.
    guard var poller = try? Poller() else { return }
    _ = poller.wait(until: MonotonicClock.now() + duration)
  }
}
