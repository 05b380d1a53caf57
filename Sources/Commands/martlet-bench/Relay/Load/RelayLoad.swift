// SPDX-License-Identifier: Apache-2.0

import Addressing
import ArgumentParser
import CommandLine
import Cryptography
import HostIO
import Synchronization
import Timing

/// Which relay is measured.
struct MeasuredRelay: ParsableArguments {
  @Option(help: ArgumentHelp("Where the relay listens.", valueName: "address:port"))
  var relay: String
  @Flag(help: "Connect without TLS.")
  var plain = false
  @Option(help: ArgumentHelp("How many threads drive the clients (1).", valueName: "n"))
  var threads = 1

  func endpoint() throws -> Endpoint {
    guard let endpoint = Endpoint(relay), (1...64).contains(threads) else {
      throw CommandError.usage("--relay has to be an address and port, --threads from 1 to 64")
    }
    return endpoint
  }

  func context() throws -> TLSContext? { plain ? nil : try .unverifiedClient() }

  /// What `body` returns on each of the threads, each with clients of its own.
  func onAllThreads<Value: Sendable>(
    _ body: @escaping @Sendable (inout LoadWorker, _ number: Int) throws -> Value
  ) throws -> [Value] {
    let (endpoint, context) = (try endpoint(), try context())
    let shared = LoadResults<Value>()
    let running = try (0..<threads).map { number in
      try DataThread(name: "load \(number)") {
        shared.add(
          Result {
            var worker = try LoadWorker(relay: endpoint, context: context)
            return try body(&worker, number)
          }
        )
      }
    }
    for thread in running { thread.join() }
    return try shared.all.map { try $0.get() }
  }
}

/// What the threads of a load came to.
private final class LoadResults<Value: Sendable>: Sendable {
  private let results = Mutex<[Result<Value, any Error>]>([])
  func add(_ result: Result<Value, any Error>) { results.withLock { $0.append(result) } }
  var all: [Result<Value, any Error>] { results.withLock { $0 } }
}

/// Lets several threads begin at once.
final class LoadBarrier: Sendable {
  private let waiting: Atomic<Int>
  init(_ count: Int) { waiting = Atomic(count) }
  /// Says that one more is ready.
  func arrive() { waiting.subtract(1, ordering: .acquiringAndReleasing) }
  /// Whether all are.
  var isOpen: Bool { waiting.load(ordering: .acquiring) <= 0 }
}
