// SPDX-License-Identifier: Apache-2.0

public import Addressing
internal import CHost

/// Chooses the queue of a TUN interface for what the host sends, by destination.
///
/// Without it the kernel spreads flows over the queues by a hash and moves a flow to the queue that
/// its last answer was written to, which may reorder packets at that moment. With it a destination has
/// one queue for as long as nobody says otherwise; unknown ones have the first.
///
/// - Source: Linux `drivers/net/tun.c`, TUNSETSTEERINGEBPF (Linux 4.16 and later).
public struct TUNSteering: ~Copyable, Sendable {
  /// The most prefixes that it takes.
  public static let capacity = 1 << 18

  private let table: Descriptor

  /// Begins to choose the queues of the interface that `queue` belongs to.
  ///
  /// - Throws: `HostError` where the kernel does not know how, or the privilege is missing.
  public init(_ queue: borrowing TUNDevice) throws(HostError) {
    let opened = chost_tun_steering_open(UInt32(Self.capacity))
    let table = Descriptor(owning: try check(opened, "open a table of queues"))
    let result = chost_tun_steer(queue.rawDescriptor, table.rawValue)
    try check(result, "steer the queues of the TUN interface \(queue.name)")
    self.table = table
  }

  /// Gives what goes to `prefix` to the queue that was opened as number `queue`, from 0.
  public func set(_ prefix: IPPrefix, to queue: Int) throws(HostError) {
    let (address, bits) = Self.key(prefix)
    // SAFETY: the address has sixteen bytes.
    let result = unsafe chost_tun_steering_set(table.rawValue, address, bits, UInt32(queue))
    try check(result, "steer \(prefix) to a queue")
  }

  /// Chooses no queue for `prefix` any more.
  public func remove(_ prefix: IPPrefix) throws(HostError) {
    let (address, bits) = Self.key(prefix)
    // SAFETY: the address has sixteen bytes.
    let result = unsafe chost_tun_steering_remove(table.rawValue, address, bits)
    try check(result, "forget the queue of \(prefix)")
  }

  private static func key(_ prefix: IPPrefix) -> (address: [UInt8], bits: UInt32) {
    let address = prefix.masked.address
    guard address.isV4 else { return (address.bytes, UInt32(prefix.length)) }
    return (
      [UInt8](repeating: 0, count: 10) + [0xFF, 0xFF] + address.bytes, UInt32(96 + prefix.length)
    )
  }
}

extension TUNDevice {
  /// Another descriptor of the same queue, for a thread that only writes.
  public func duplicate() throws(HostError) -> TUNDevice {
    let copy = chost_duplicate(descriptor.rawValue)
    return TUNDevice(
      descriptor: Descriptor(owning: try check(copy, "share a queue of \(name)")),
      name: name,
      features: features
    )
  }
}
