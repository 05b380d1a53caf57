// SPDX-License-Identifier: Apache-2.0

import HostIO
import Synchronization
import WireGuard

/// What all shards own of the operating system, until each takes its part.
final class SharedDevices: Sendable {
  private let parts: [Part]
  /// Chooses the queues of the interface, where the host can; for who takes it.
  private let steering: Mutex<TUNSteering?>

  private final class Part: Sendable {
    let devices: Mutex<HostDevices?>
    init(_ devices: consuming HostDevices) { self.devices = Mutex(devices) }
  }

  /// Opens the interface and binds the port, once for each shard.
  ///
  /// - Throws: `HostError` that says what is in the way and what to do.
  init(_ options: DataPlaneOptions) throws(HostError) {
    let first = try HostDevices.open(options)
    guard options.shards > 1 else {
      parts = [Part(first)]
      steering = Mutex(nil)
      return
    }
    try first.v4.share()
    try first.v6?.share()
    // Where the host does not steer queues, one of them is read by one shard, which hands over: the
    // kernel's own choice would move flows from queue to queue while packets wait in both.
    let steering = options.isSteeringWanted ? try? TUNSteering(first.tun) : nil
    let hasQueues = steering != nil
    var others: [Part] = []
    for _ in 1..<options.shards {
      others.append(Part(try Self.another(like: first, options, hasQueue: hasQueues)))
    }
    if options.isSteeringWanted { Self.steer(first, count: options.shards) }
    parts = [Part(first)] + others
    self.steering = Mutex(steering)
  }

  private static func another(
    like first: borrowing HostDevices,
    _ options: DataPlaneOptions,
    hasQueue: Bool
  ) throws(HostError) -> HostDevices {
    let v4 = try UDPSocket.bind(first.v4.localEndpoint, mark: options.mark, joins: true)
    var v6: UDPSocket?
    if let endpoint = first.v6Endpoint {
      v6 = try UDPSocket.bind(endpoint, mark: options.mark, joins: true)
    }
    let tun =
      hasQueue
      ? try TUNDevice.open(name: first.tun.name, queue: .another) : try first.tun.duplicate()
    return HostDevices(tun: tun, readsTUN: hasQueue, v4: v4, v6: v6)
  }

  /// Has the kernel bring data to the socket of the shard that its receiver index names.
  ///
  /// A host that refuses spreads datagrams by their addresses, and they are handed over.
  private static func steer(_ first: borrowing HostDevices, count: Int) {
    let program = DatagramSteering.program(count: count)
    try? first.v4.steer(by: program)
    try? first.v6?.steer(by: program)
  }

  /// What a shard takes over; nil when it has.
  func take(_ shard: Int) -> HostDevices? { parts[shard].devices.withLock { $0.take() } }

  /// What chooses the queues, for who tells it; nil when there is nothing to choose.
  func takeSteering() -> TUNSteering? { steering.withLock { $0.take() } }

  /// Closes what nobody took.
  func close() { for part in parts { part.devices.withLock { $0 = nil } } }

  /// Looks at the first shard's, before it is taken.
  func withFirst<Value>(_ body: (borrowing HostDevices) -> Value) -> Value {
    parts[0].devices.withLock { devices in
      switch devices {
      case .some(let devices): body(devices)
      case nil: preconditionFailure("the first shard's devices are still here")
      }
    }
  }
}

/// How the kernel finds the socket of a datagram's shard.
enum DatagramSteering {
  /// Ends with the shard that gave out the receiver index of a datagram; with the first for those that
  /// have none.
  ///
  /// - Source: `Documentation/Protocols/wireguard.md`, messages.
  static func program(count: Int) -> [UDPSocket.Instruction] {
    [
      .loadWord(at: 0),
      .skip(ifEqual: 0x0400_0000, 3),
      .skip(ifEqual: 0x0300_0000, 2),
      .skip(ifEqual: 0x0200_0000, 3),
      .end(with: 0),
      .loadByte(at: 4),
      .skip(1),
      .loadByte(at: 8),
      .and(Shard.receiverMask),
      .skip(ifAtLeast: UInt32(count), 1),
      .end,
      .end(with: 0),
    ]
  }
}
