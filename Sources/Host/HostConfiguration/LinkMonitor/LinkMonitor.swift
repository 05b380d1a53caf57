// SPDX-License-Identifier: Apache-2.0

package import HostIO
package import HostSettings
import Synchronization

/// Watches the host's links, addresses, default routes and routing rules.
///
/// Changes come in bursts (a cable, a radio, a resolver restarting): the monitor waits until a
/// burst is over, compares, and tells only what makes a difference.
package final class LinkMonitor: Sendable {
  /// The changes, one after a burst; while nobody reads, later ones merge into one.
  ///
  /// For one reader. Ends when the monitor is stopped.
  package let changes: AsyncStream<LinkChange>

  private let published: Publisher
  private let stopping: WakeSignal
  private let thread: DataThread

  /// Starts to watch the network namespace of the calling thread.
  ///
  /// - Parameters:
  ///   - ownInterface: Our own interface, whose changes make no difference to reachability.
  ///   - ground: The marks of our routes and rules, whose removal is told.
  /// - Throws: `HostError` when the kernel does not let us watch.
  package init(
    ownInterface: String = RouterSettings.defaultInterfaceName,
    ground: HostGround = HostGround()
  ) throws(HostError) {
    let watch = try LinkWatch(ownInterface: ownInterface, ground: ground)
    let (stream, continuation) = AsyncStream.makeStream(
      of: LinkChange.self,
      bufferingPolicy: .bufferingNewest(1)
    )
    let stopping = try WakeSignal()
    let publisher = Publisher(continuation, watch.facts)
    (changes, self.stopping) = (stream, stopping)
    published = publisher
    thread = try DataThread(name: "martlet-links") {
      watch.run(until: stopping) { publisher.publish($0) }
      continuation.finish()
    }
  }

  deinit { stopping.signal() }

  /// The host's networks as last looked at.
  package var facts: HostFacts { published.facts }

  /// Stops watching and ends `changes`; the second call does nothing.
  package func stop() {
    stopping.signal()
    thread.join()
  }
}

/// Hands changes to the stream's reader and keeps the latest facts for whoever asks.
private final class Publisher: Sendable {
  private let continuation: AsyncStream<LinkChange>.Continuation
  private let latest: Mutex<HostFacts>

  init(_ continuation: AsyncStream<LinkChange>.Continuation, _ facts: HostFacts) {
    self.continuation = continuation
    latest = Mutex(facts)
  }

  var facts: HostFacts { latest.withLock { $0 } }

  func publish(_ change: LinkChange) {
    latest.withLock { $0 = change.facts }
    // A change that nobody has read yet is pushed out by this one: it tells of both then.
    guard case .dropped(let earlier) = continuation.yield(change) else { return }
    continuation.yield(change.merged(over: earlier))
  }
}
