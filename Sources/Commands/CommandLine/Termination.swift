// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Glibc

/// The signals by which people and service managers end a program or make it read its files again.
package enum Termination {
  /// The numbers of `watched` signals as they arrive, taken over from their default action.
  ///
  /// The last few are kept when nobody reads: one is enough to stop.
  package static func signals(_ watched: [Int32] = [SIGTERM, SIGINT]) -> AsyncStream<Int32> {
    AsyncStream(bufferingPolicy: .bufferingNewest(4)) { continuation in
      let queue = DispatchQueue(label: "termination")
      let sources = watched.map { number in
        // The default action would end the program before the source could tell.
        _ = signal(number, SIG_IGN)
        let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
        source.setEventHandler { continuation.yield(number) }
        source.resume()
        return source
      }
      let held = SignalSources(sources)
      continuation.onTermination = { _ in held.cancel() }
    }
  }

  /// Waits until the program is asked to end; returns the signal's number.
  package static func wait() async -> Int32 {
    for await number in signals() { return number }
    return SIGTERM
  }

  /// Makes writing to a closed pipe or socket an error instead of the end of the program.
  package static func ignoreBrokenPipes() {
    _ = signal(SIGPIPE, SIG_IGN)
  }
}

/// Keeps signal sources alive until the stream that reads them ends.
private final class SignalSources: @unchecked Sendable {
  // SAFETY: written once at creation; Dispatch sources may be cancelled from any thread.
  private let sources: [any DispatchSourceSignal]

  init(_ sources: [any DispatchSourceSignal]) { self.sources = sources }

  func cancel() { for source in sources { source.cancel() } }
}
