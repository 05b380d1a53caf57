// SPDX-License-Identifier: Apache-2.0

internal import CHost
internal import Synchronization

/// A thread of its own for a loop that must never wait behind tasks: a shard of the data path.
public final class DataThread: Sendable {
  private let handle: Mutex<UInt64?>

  private final class Body {
    let run: () -> Void
    init(_ run: @escaping () -> Void) { self.run = run }
  }

  /// Starts a thread that runs `body` once.
  ///
  /// All signals are blocked in it, so that they reach the thread that waits for them.
  ///
  /// - Parameters:
  ///   - name: What `top -H` and `ps -L` show; cut to 15 bytes.
  ///   - body: What the thread does; it owns what it captures.
  /// - Throws: `HostError` when the system has no more threads.
  public init(name: String, body: sending @escaping () -> Void) throws(HostError) {
    let context = unsafe Unmanaged.passRetained(Body(body))
    var thread: UInt64 = 0
    // SAFETY: the thread takes over the retained body; when it did not start, it is released here.
    let result = unsafe chost_thread_start(
      String(decoding: name.utf8.prefix(15), as: UTF8.self),
      { argument in
        guard let argument = unsafe argument else {
          preconditionFailure("a thread was started without its body")
        }
        unsafe Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run()
      },
      context.toOpaque(),
      &thread
    )
    if result < 0 { unsafe context.release() }
    try check(result, "start the thread \(name)")
    handle = Mutex(thread)
  }

  deinit {
    if let thread = handle.withLock({ $0 }) { chost_thread_detach(thread) }
  }

  /// How many processors the threads of this process may run on.
  public static var processors: Int { Int(chost_processors()) }

  /// Lets other threads that could run have the processor of the calling one first.
  @Sendable public static func yield() { chost_thread_yield() }

  /// Waits until the body has returned; the second call returns at once.
  ///
  /// Blocks the calling thread: not for use in a task.
  public func join() {
    let thread = handle.withLock { handle in
      defer { handle = nil }
      return handle
    }
    if let thread { chost_thread_join(thread) }
  }
}
