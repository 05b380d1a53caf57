// SPDX-License-Identifier: Apache-2.0

internal import CHost

/// Wakes a thread that waits in a `Poller`, from any other.
///
/// Signals that come before the thread looks are one signal.
public final class WakeSignal: Sendable {
  private let descriptor: Descriptor

  /// A signal that has not been given.
  public init() throws(HostError) {
    descriptor = Descriptor(owning: try check(chost_event_open(), "open a wake signal"))
  }

  /// The descriptor, for a `Poller`; stays owned by this signal.
  public var rawDescriptor: Int32 { descriptor.rawValue }

  /// Wakes the waiting thread, or the next wait.
  public func signal() {
    var one: UInt64 = 1
    // A counter that is full already wakes whoever looks.
    // SAFETY: eight bytes are read from `one`.
    _ = unsafe chost_write(descriptor.rawValue, &one, MemoryLayout<UInt64>.size)
  }

  /// Takes back the signal.
  ///
  /// - Returns: Whether it had been given.
  @discardableResult public func consume() -> Bool {
    var count: UInt64 = 0
    // SAFETY: eight bytes are written to `count`.
    return unsafe chost_read(descriptor.rawValue, &count, MemoryLayout<UInt64>.size) > 0
  }
}
