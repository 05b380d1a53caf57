// SPDX-License-Identifier: Apache-2.0

import Cryptography
import HostIO
import NIOCore
import Synchronization
import Timing

/// A thread that drives connections by itself, for servers to whom thousands come.
///
/// A connection that is silent has no buffers: received and sealed bytes lie in memory of the loop,
/// which all its connections share. Each connection stays with its loop.
@safe final class StreamLoop: @unchecked Sendable {
  // SAFETY: what changes belongs to the loop's thread, apart from what is guarded by itself.

  /// What a connection reads at once.
  static let readSize = 64 * 1024
  /// After a read of so much, what it caused is written before anybody else is read from.
  static let promptSize = 16 * 1024
  /// Connections that are accepted before others get their turn.
  static let acceptsAtOnce = 64
  private static let maximumLoops = 64
  private static let wakeToken = UInt64.max
  private static let listenerMark = UInt64(1) << 62

  /// What other threads ask of a loop.
  enum Order {
    case work(@Sendable () -> Void)
    case adopt(LoopConnection, ByteStream)
    case flush(LoopConnection)
    case read(LoopConnection)
    case close(LoopConnection)
    case closeOutput(LoopConnection)
    case listen(LoopListener)
    case stop(LoopListener)
  }

  /// One for each processor, started when the first is needed.
  static let all = Result { () throws(HostError) in
    let count = min(max(1, DataThread.processors), maximumLoops)
    var loops: [StreamLoop] = []
    for _ in 0..<count { loops.append(try StreamLoop()) }
    for (number, loop) in loops.enumerated() { try loop.start(number) }
    return loops
  }

  /// The one of `loops` that has the fewest connections.
  static func leastBusy(of loops: [StreamLoop]) -> StreamLoop? {
    loops.min { $0.population.load(ordering: .relaxed) < $1.population.load(ordering: .relaxed) }
  }

  /// Where timers of the connections run.
  let eventLoop: any EventLoop
  /// How many connections belong to the loop.
  let population = Atomic(0)
  private let orders = Mutex<[Order]>([])
  private let isAwake = Atomic(true)
  private let signal: WakeSignal
  private let thread = Mutex<DataThread?>(nil)

  private var poller: Poller
  private var slots: [LoopConnection?] = []
  private var freeSlots: [Int] = []
  private var generation: UInt64 = 0
  private var listeners: [UInt64: LoopListener] = [:]
  private(set) var exchange: TLSExchange?
  let received = UnsafeMutableRawBufferPointer.allocate(byteCount: readSize, alignment: 64)
  let plaintext = UnsafeMutableRawBufferPointer.allocate(
    byteCount: readSize + TLSSession.margin,
    alignment: 64
  )

  private init() throws(HostError) {
    let poller = try Poller()
    signal = try WakeSignal()
    try poller.add(signal.rawDescriptor, token: Self.wakeToken)
    self.poller = poller
    eventLoop = eventLoops.next()
    // Without memory for it, sessions cannot be made either, which is told where they are wanted.
    exchange = try? TLSExchange()
  }

  private func start(_ number: Int) throws(HostError) {
    let thread = try DataThread(name: "streams \(number)") { [self] in run() }
    self.thread.withLock { $0 = thread }
  }

  // MARK: From other threads

  /// Asks for something, in the order of asking.
  func post(_ order: Order) {
    orders.withLock { $0.append(order) }
    // A loop that is awake looks before it sleeps.
    if !isAwake.exchange(true, ordering: .sequentiallyConsistent) { signal.signal() }
  }

  // MARK: The loop

  private func run() {
    while true {
      performOrders()
      isAwake.store(false, ordering: .sequentiallyConsistent)
      let isAsked = orders.withLock { !$0.isEmpty }
      if isAsked { isAwake.store(true, ordering: .sequentiallyConsistent) }
      let count = poller.wait(until: isAsked ? MonotonicClock.now() : nil)
      isAwake.store(true, ordering: .sequentiallyConsistent)
      for index in 0..<count { handle(poller[index]) }
    }
  }

  private func performOrders() {
    let asked = orders.withLock { orders in
      guard !orders.isEmpty else { return [Order]() }
      defer { orders = [] }
      return orders
    }
    for order in asked { perform(order) }
  }

  private func perform(_ order: Order) {
    switch order {
    case .work(let work): work()
    case .adopt(let connection, let stream): connection.begin(stream)
    case .flush(let connection): connection.flush()
    case .read(let connection): connection.resumeReading()
    case .close(let connection): connection.endByUs()
    case .closeOutput(let connection): connection.endOutput()
    case .listen(let listener): begin(listener)
    case .stop(let listener): end(listener)
    }
  }

  private func handle(_ ready: Poller.Readiness) {
    guard ready.token != Self.wakeToken else {
      signal.consume()
      return
    }
    if ready.token & Self.listenerMark != 0 {
      listeners[ready.token]?.acceptSome(Self.acceptsAtOnce)
      return
    }
    let slot = Int(ready.token & 0xFFFF_FFFF)
    // It may have ended since, and its slot be somebody else's.
    guard slot < slots.count, let connection = slots[slot], connection.token == ready.token else {
      return
    }
    if ready.isWritable { connection.canWrite() }
    if ready.isReadable, connection.canRead(isBroken: ready.isBroken) >= Self.promptSize {
      performOrders()
    }
  }

  // MARK: Connections

  /// Begins to wait for a connection; returns its token, nil when the system refuses.
  func add(_ connection: LoopConnection, _ descriptor: Int32) -> UInt64? {
    let slot = freeSlots.popLast() ?? slots.count
    if slot == slots.count { slots.append(nil) }
    generation = (generation + 1) & 0x1FFF_FFFF
    let token = generation << 32 | UInt64(slot)
    do throws(HostError) {
      try poller.add(descriptor, token: token)
    } catch {
      freeSlots.append(slot)
      return nil
    }
    slots[slot] = connection
    return token
  }

  /// Changes what is waited for.
  func update(_ descriptor: Int32, _ token: UInt64, for interest: Poller.Interest) {
    // A descriptor that was added can be changed.
    try? poller.update(descriptor, token: token, for: interest)
  }

  /// Waits for a connection no longer.
  func remove(_ descriptor: Int32, _ token: UInt64) {
    // Its descriptor is closed next, which removes it as well.
    try? poller.remove(descriptor)
    let slot = Int(token & 0xFFFF_FFFF)
    slots[slot] = nil
    freeSlots.append(slot)
  }

  // MARK: Listeners

  private func begin(_ listener: LoopListener) {
    generation = (generation + 1) & 0x1FFF_FFFF
    listener.token = Self.listenerMark | generation
    listeners[listener.token] = listener
    listener.watch(poller)
  }

  private func end(_ listener: LoopListener) {
    listeners[listener.token] = nil
    listener.stop(poller)
  }

  /// Looks at a listener again, which was left alone for a while.
  func watch(_ listener: LoopListener) {
    if listeners[listener.token] != nil { listener.watch(poller) }
  }

  /// Leaves a listener alone.
  func ignore(_ descriptor: Int32) {
    // It was added.
    try? poller.remove(descriptor)
  }
}
