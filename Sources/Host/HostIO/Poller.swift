// SPDX-License-Identifier: Apache-2.0

internal import CHost
internal import Glibc
public import Timing

/// Waits for several descriptors at once, until a deadline (epoll, level-triggered).
public struct Poller: ~Copyable, Sendable {
  /// What to wait for.
  public struct Interest: OptionSet, Hashable, Sendable {
    /// The bits.
    public let rawValue: UInt32
    /// A set from its bits.
    public init(rawValue: UInt32) { self.rawValue = rawValue }
    /// Something can be read.
    public static let reading = Interest(rawValue: 1)
    /// Something can be written.
    public static let writing = Interest(rawValue: 4)
  }

  /// A descriptor that is ready.
  public struct Readiness: Hashable, Sendable {
    /// The token that it was added with.
    public let token: UInt64
    /// The EPOLL bits.
    let events: UInt32

    /// Whether a read brings something, if only an error.
    public var isReadable: Bool { events & ~4 != 0 }
    /// Whether a write does not wait.
    public var isWritable: Bool { events & 4 != 0 }
    /// Whether the descriptor is in error or its other end has gone.
    public var isBroken: Bool { events & 0x18 != 0 }
  }

  /// The most descriptors that one wait reports; the others come with the next.
  public static let maximumReady = Int(CHOST_READY_MAXIMUM)

  private let descriptor: Descriptor
  private var ready: InlineArray<32, chost_ready>
  private var readyCount = 0

  /// A poller that waits for nothing yet.
  public init() throws(HostError) {
    descriptor = Descriptor(owning: try check(chost_poll_open(), "open a poll set"))
    ready = InlineArray(repeating: chost_ready())
  }

  /// Begins to wait for `rawDescriptor`, which must be removed before it is closed.
  public func add(
    _ rawDescriptor: Int32,
    token: UInt64,
    for interest: Interest = .reading
  ) throws(HostError) {
    try change(1, rawDescriptor, token, interest)
  }

  /// Changes what is waited for on a descriptor that was added.
  public func update(
    _ rawDescriptor: Int32,
    token: UInt64,
    for interest: Interest
  ) throws(HostError) {
    try change(2, rawDescriptor, token, interest)
  }

  /// Waits for a descriptor no longer.
  public func remove(_ rawDescriptor: Int32) throws(HostError) {
    try change(3, rawDescriptor, 0, [])
  }

  private func change(
    _ operation: Int32,
    _ rawDescriptor: Int32,
    _ token: UInt64,
    _ interest: Interest
  ) throws(HostError) {
    let result = chost_poll_change(
      descriptor.rawValue,
      operation,
      rawDescriptor,
      interest.rawValue,
      token
    )
    try check(result, "wait for descriptor \(rawDescriptor)")
  }

  /// Waits until something is ready or `deadline` has come; for ever without one.
  ///
  /// Time that the host spends asleep does not count towards the wait; whoever needs to act after
  /// waking is woken by the links that come up.
  ///
  /// - Returns: How many descriptors are ready: zero at the deadline, or when a signal came.
  public mutating func wait(until deadline: Instant?) -> Int {
    let timeout = deadline.map { max(0, (($0) - MonotonicClock.now()).wholeNanoseconds) } ?? -1
    var span = ready.mutableSpan
    // SAFETY: the kernel fills at most as many entries as the span has.
    readyCount = unsafe span.withUnsafeMutableBufferPointer { buffer in
      unsafe Int(
        chost_poll_wait(
          descriptor.rawValue,
          buffer.baseAddress,
          Int32(buffer.count),
          timeout
        )
      )
    }
    precondition(readyCount >= 0, "a poll set that is open can be waited for")
    return readyCount
  }

  /// The descriptor at `index` of those that the last wait found ready.
  public subscript(index: Int) -> Readiness {
    precondition(index < readyCount, "a descriptor beyond those ready")
    return Readiness(token: ready[index].token, events: ready[index].events)
  }
}
