// SPDX-License-Identifier: Apache-2.0

import Addressing
import Cryptography
import DERP
import HostIO
import Timing

/// The clients of one thread and what goes between them.
struct LoadWorker: ~Copyable {
  /// How long a client may take until the relay admits it.
  static let patience = Duration.seconds(30)
  /// A pair that hears nothing for so long has lost what was under way.
  static let lossTimeout = Duration.milliseconds(50)

  private let relay: Endpoint
  private let scratch: LoadScratch
  private var poller: Poller
  private(set) var clients: [LoadClient] = []
  private var flows: [LoadFlow] = []
  private var flowOfReceiver: [Int: Int] = [:]
  private var writing: Set<Int> = []

  init(relay: Endpoint, context: TLSContext?) throws {
    let scratch = try LoadScratch(context: context)
    poller = try Poller()
    (self.relay, self.scratch) = (relay, scratch)
  }

  /// How many clients the relay did not admit, and why the first of them.
  var failures: (count: Int, first: String) {
    let failed = clients.filter { $0.phase == .failed }
    return (failed.count, failed.first?.failure ?? "")
  }

  // MARK: Connecting

  /// Connects `count` clients, `atOnce` of them at a time, and waits for all.
  mutating func connect(_ count: Int, atOnce: Int) throws {
    var unfinished: [Int] = []
    let goal = clients.count + count
    var deadline = MonotonicClock.now() + Self.patience
    while clients.count < goal || !unfinished.isEmpty {
      while clients.count < goal, unfinished.count < atOnce {
        let client = try LoadClient(clients.count, to: relay, scratch)
        try poller.add(client.rawDescriptor, token: UInt64(client.index), for: .writing)
        writing.insert(client.index)
        unfinished.append(client.index)
        clients.append(client)
        deadline = MonotonicClock.now() + Self.patience
      }
      try turn(until: deadline)
      unfinished.removeAll { [.ready, .failed].contains(clients[$0].phase) }
      if MonotonicClock.now() >= deadline {
        for index in unfinished { clients[index].fail("the relay did not admit it in time") }
        unfinished = []
      }
    }
  }

  // MARK: Traffic

  /// Makes one client send to another.
  mutating func add(_ flow: LoadFlow) {
    if !flow.isRead {
      clients[flow.receiver].isReading = false
      // It was added when the client was made.
      try? poller.update(
        clients[flow.receiver].rawDescriptor,
        token: UInt64(flow.receiver),
        for: []
      )
    }
    flowOfReceiver[flow.receiver] = flows.count
    flows.append(flow)
  }

  /// Lets traffic flow, and forgets what was counted before.
  mutating func run(for duration: Duration) throws -> [LoadFlow] {
    let start = MonotonicClock.now()
    let end = start + duration
    for index in flows.indices { flows[index].begin(at: start) }
    var now = start
    while now < end {
      var next = min(end, now + .milliseconds(10))
      for index in flows.indices {
        let sender = clients[flows[index].sender]
        guard sender.phase == .ready else { throw LoadError("a sender ended: \(sender.failure)") }
        if sender.unsent.isEmpty, let bytes = flows[index].batch(at: now) {
          unsafe bytes.withUnsafeBytes { bytes in unsafe sender.send(bytes, scratch) }
          try watch(sender)
        }
        if let due = flows[index].nextDue { next = min(next, max(due, now)) }
      }
      if flows.contains(where: { $0.mayGoOn }) { next = now }
      try turn(until: next)
      now = MonotonicClock.now()
    }
    return flows
  }

  // MARK: Waiting

  /// Waits once, and handles what is ready.
  mutating func turn(until deadline: Instant) throws {
    let count = poller.wait(until: deadline)
    for index in 0..<count {
      let ready = poller[index]
      let client = clients[Int(ready.token)]
      if ready.isWritable, client.mustWrite { client.canWrite(scratch) }
      if ready.isReadable, client.isReading { read(client) }
      try watch(client)
    }
  }

  private mutating func read(_ client: LoadClient) {
    let now = MonotonicClock.now()
    let flow = flowOfReceiver[client.index]
    var arrivals = LoadArrivals()
    unsafe client.canRead(scratch) { _, packet in
      if flow != nil { unsafe arrivals.add(packet, at: now) }
    }
    if let flow, arrivals.packets > 0 { flows[flow].received(arrivals, at: now) }
  }

  /// Waits for what the client waits for.
  private mutating func watch(_ client: LoadClient) throws {
    guard client.phase != .failed else {
      // It may have been removed before.
      try? poller.remove(client.rawDescriptor)
      return
    }
    guard client.mustWrite != writing.contains(client.index) else { return }
    var interest: Poller.Interest = client.isReading ? .reading : []
    if client.mustWrite {
      interest.insert(.writing)
      writing.insert(client.index)
    } else {
      writing.remove(client.index)
    }
    try poller.update(client.rawDescriptor, token: UInt64(client.index), for: interest)
  }
}

/// Why a load could not be carried.
struct LoadError: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}
