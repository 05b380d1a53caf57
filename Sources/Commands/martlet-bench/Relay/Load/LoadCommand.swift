// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLine
import HostIO
import JSON
import Timing

/// `martlet-bench derp load`: packets between the clients of a relay.
struct LoadCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "load",
    abstract: "Send packets through a relay, ours or another, and time them.",
    discussion: """
      Every second client sends to the next one. Without --rate, each sender keeps as many packets \
      under way as --window says, so that nothing is lost and the relay is always busy. What \
      --slow and --flood add disturbs and is not counted: receivers that never read, with somebody \
      who sends to them, and senders that send whatever the connection takes.
      """
  )

  @OptionGroup var target: MeasuredRelay
  @Option(help: ArgumentHelp("How many clients, half of them senders (20).", valueName: "n"))
  var clients = 20
  @Option(help: ArgumentHelp("Bytes in a packet, 8 to 65536 (1400).", valueName: "bytes"))
  var size = 1400
  @Option(help: ArgumentHelp("Packets of a sender under way at most (64).", valueName: "n"))
  var window = 64
  @Option(
    help: ArgumentHelp("Packets a second of all senders together; 0 for all (0).", valueName: "n")
  )
  var rate = 0
  @Option(help: ArgumentHelp("Receivers that never read (0).", valueName: "n"))
  var slow = 0
  @Option(help: ArgumentHelp("Senders without restraint (0).", valueName: "n"))
  var flood = 0
  @Option(
    help: ArgumentHelp("For how long (3s).", valueName: "duration"),
    transform: settingValue
  )
  var duration = Duration.seconds(3)
  @Option(
    help: ArgumentHelp("How long before that, uncounted (500ms).", valueName: "duration"),
    transform: settingValue
  )
  var warmup = Duration.milliseconds(500)

  /// How many packets a second go to a receiver that never reads.
  private static let slowRate = 5000.0

  func run() throws {
    guard clients >= 2 * target.threads, (8...65_536).contains(size), window > 0, rate >= 0,
      slow >= 0, flood >= 0, duration > .zero
    else { throw CommandError.usage("--clients is two a thread or more, --size 8 to 65536") }
    let barrier = LoadBarrier(target.threads)
    let command = self
    let flows = try target.onAllThreads { worker, number in
      try command.run(&worker, number, barrier)
    }
    .flatMap { $0 }
    report(flows)
  }

  private func run(
    _ worker: inout LoadWorker,
    _ number: Int,
    _ barrier: LoadBarrier
  ) throws -> [LoadFlow] {
    // Whatever happens, the others must not wait for this one.
    var hasArrived = false
    defer { if !hasArrived { barrier.arrive() } }
    let pairs = share(clients / 2, number)
    let (slow, flood) = (share(slow, number), share(flood, number))
    try worker.connect(2 * (pairs + slow + flood), atOnce: 64)
    guard worker.failures.count == 0 else { throw LoadError(worker.failures.first) }
    let pace: LoadFlow.Pace =
      rate > 0 ? .rate(Double(rate) / Double(clients / 2)) : .window(window)
    for pair in 0..<pairs + slow + flood {
      let isMeasured = pair < pairs
      let isSlow = !isMeasured && pair < pairs + slow
      worker.add(
        LoadFlow(
          from: 2 * pair,
          to: 2 * pair + 1,
          worker.clients[2 * pair + 1].key,
          size: size,
          pace: isMeasured ? pace : isSlow ? .rate(Self.slowRate) : .flood,
          isRead: !isSlow,
          isMeasured: isMeasured
        )
      )
    }
    barrier.arrive()
    hasArrived = true
    while !barrier.isOpen { try worker.turn(until: MonotonicClock.now() + .milliseconds(5)) }
    _ = try worker.run(for: warmup)
    return try worker.run(for: duration)
  }

  /// How many of `count` belong to a thread.
  private func share(_ count: Int, _ number: Int) -> Int {
    count * (number + 1) / target.threads - count * number / target.threads
  }

  private func report(_ all: [LoadFlow]) {
    let flows = all.filter(\.isMeasured)
    let received = flows.reduce(0) { $0 + $1.received }
    let seconds = flows.map(\.seconds).max() ?? 0
    let delays = flows.flatMap(\.delays).sorted()
    func delay(_ share: Double) -> Double {
      delays.isEmpty ? 0 : Double(delays[Int(Double(delays.count - 1) * share)]) / 1000
    }
    report { writer in
      writer.number("sent", flows.reduce(0) { $0 + $1.sent })
      writer.number("received", received)
      writer.number("lost", flows.reduce(0) { $0 + $1.lost })
      writer.number("allReceived", all.reduce(0) { $0 + $1.received })
      writer.number("seconds", seconds)
      writer.number("packetsPerSecond", seconds > 0 ? Double(received) / seconds : 0)
      writer.number(
        "megabitsPerSecond",
        seconds > 0 ? Double(received * size * 8) / seconds / 1e6 : 0
      )
      writer.number("p50Microseconds", delay(0.5))
      writer.number("p99Microseconds", delay(0.99))
    }
  }
}
