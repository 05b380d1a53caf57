// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLine
import HostIO
import JSON
import Timing

/// `martlet-bench control`: many simulated nodes at a coordination server, over the real protocol.
struct ControlCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "control",
    abstract: "Load a coordination server with simulated nodes.",
    discussion: """
      Every node has keys and a connection of its own, registers, and keeps a map stream. What is \
      measured: one node's new endpoint at all others, all nodes that come back at once, a policy \
      whose change concerns one tag, and what all that costs the server. The server's socket is \
      used to make users, keys and the policy.
      """
  )

  @Option(help: ArgumentHelp("The server's socket.", valueName: "path"))
  var socket: String
  @Option(help: ArgumentHelp("The port at which machines reach it.", valueName: "port"))
  var port: UInt16
  @Option(help: ArgumentHelp("The number of its process.", valueName: "pid"))
  var pid: Int
  @Option(help: ArgumentHelp("How many nodes there are (1000).", valueName: "n"))
  var nodes = 1000
  @Option(help: ArgumentHelp("How often an endpoint changes (20).", valueName: "n"))
  var rounds = 20
  @Option(help: ArgumentHelp("How many nodes join at once (64).", valueName: "n"))
  var joining = 64

  func run() async throws {
    guard (20...50_000).contains(nodes), (1...1000).contains(rounds), joining > 0 else {
      throw CommandError.usage("--nodes is from 20 to 50000, --rounds to 1000")
    }
    let load = ControlLoad(
      shape: ControlShape(nodes: nodes),
      server: try await ControlTarget(socket: socket, port: port, pid: pid)
    )
    let joined = try await load.join(atOnce: joining)
    let changes = try await load.changeEndpoints(rounds: rounds)
    let policy = try await load.changePolicy()
    let cut = try await load.reconnect()
    report { writer in
      writer.number("nodes", nodes)
      writer.name("join")
      writer.object(joined.write)
      writer.name("endpoint")
      writer.object(changes.write)
      writer.name("policy")
      writer.object(policy.write)
      writer.name("reconnect")
      writer.object(cut.write)
      writer.number("highestMegabytes", load.server.megabytes("VmHWM:"))
    }
    await load.end()
  }
}

/// What one phase came to: figures by name, in order.
struct ControlFigures {
  private var figures: [(name: String, value: Double)] = []

  mutating func add(_ name: String, _ value: Double) { figures.append((name, value)) }

  /// Adds the middle, the last but one in a hundred, and the last of some times.
  mutating func add(times: [Duration]) {
    let sorted = times.sorted()
    guard let last = sorted.last else { return }
    add("p50Milliseconds", sorted[sorted.count / 2].inMilliseconds)
    add("p99Milliseconds", sorted[min(sorted.count - 1, sorted.count * 99 / 100)].inMilliseconds)
    add("lastMilliseconds", last.inMilliseconds)
  }

  func write(to writer: inout JSONWriter) {
    for (name, value) in figures { writer.number(name, (value * 1000).rounded() / 1000) }
  }
}
