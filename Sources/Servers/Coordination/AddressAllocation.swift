// SPDX-License-Identifier: Apache-2.0

package import Addressing
package import Timing

/// Gives each node an address of its own from one prefix.
///
/// Addresses are given in order, and one that was given back rests before it is given again, so that
/// nothing that still remembers its last owner reaches the next one.
package struct AddressAllocation: Sendable {
  /// How long an address rests unless told otherwise.
  package static let defaultRest = Duration.seconds(48 * 3600)

  /// Where addresses are taken from.
  package let prefix: IPPrefix
  private let rest: Duration
  private var used: Set<IPAddress> = []
  private var resting: [IPAddress: Timestamp] = [:]
  private var last: IPAddress

  /// An empty allocation over `prefix`, which `validated(_:)` let through.
  package init(prefix: IPPrefix, rest: Duration = defaultRest) {
    self.prefix = prefix.masked
    self.rest = rest
    self.last = prefix.masked.address
  }

  /// The prefix when addresses can be given from it, or why they cannot.
  package static func validated(
    _ prefix: IPPrefix,
    family: IPAddress.Family
  ) throws(Refusal) -> IPPrefix {
    let lengths = family == .v4 ? 8...30 : 16...126
    let name = family == .v4 ? "IPv4" : "IPv6"
    guard prefix.address.family == family, lengths.contains(prefix.length) else {
      throw .invalid(
        "\(prefix) cannot be the \(name) prefix: give an \(name) prefix of "
          + "/\(lengths.lowerBound) to /\(lengths.upperBound)."
      )
    }
    let base = prefix.masked.address
    guard !base.isLoopback, !base.isLinkLocal, !base.isMulticast,
      !prefix.contains(IPAddress.unspecified(family)),
      !prefix.contains(family == .v4 ? IPAddress(127, 0, 0, 1) : IPAddress(high: 0, low: 1))
    else { throw .invalid("\(prefix) cannot be the \(name) prefix: its addresses are special.") }
    return prefix.masked
  }

  /// Notes an address that a node has, as the store remembers it.
  package mutating func restore(used address: IPAddress) {
    used.insert(address)
    if prefix.contains(address) { last = max(last, address) }
  }

  /// Notes an address that was given back at `time`, as the store remembers it.
  package mutating func restore(resting address: IPAddress, since time: Timestamp) {
    resting[address] = time
    if prefix.contains(address) { last = max(last, address) }
  }

  /// The next free address, from now on used; nil when there is none.
  ///
  /// Looks at each address at most once, beginning after the last one given.
  package mutating func allocate(at time: Timestamp) -> IPAddress? {
    var candidate = last
    // Each used, resting or reserved address is passed once, so this many steps reach a free one
    // if there is any; the reserved ranges are leapt over.
    var steps = used.count + resting.count + 16
    while steps > 0 {
      steps -= 1
      candidate = after(candidate)
      if isFree(candidate, at: time) {
        used.insert(candidate)
        resting[candidate] = nil
        last = candidate
        return candidate
      }
    }
    return nil
  }

  /// A free address of one of `pools`, from now on used; nil when there is none.
  package mutating func allocate(in pools: [IPPrefix], at time: Timestamp) -> IPAddress? {
    for pool in pools {
      var candidate = pool.masked.address
      // As above: a free one is found within as many steps, if there is any.
      for _ in 0..<used.count + resting.count + 16 {
        candidate = candidate.next
        guard pool.contains(candidate), candidate != pool.lastAddress else { break }
        if prefix.contains(candidate), isFree(candidate, at: time) {
          used.insert(candidate)
          resting[candidate] = nil
          return candidate
        }
      }
    }
    return nil
  }

  /// Gives an address back; it rests from now on.
  package mutating func release(_ address: IPAddress, at time: Timestamp) {
    guard used.remove(address) != nil else { return }
    resting[address] = time
  }

  /// Forgets addresses that have rested long enough, and tells which.
  package mutating func endRests(at time: Timestamp) -> [IPAddress] {
    let over = resting.filter { time - $0.value >= rest }.map(\.key)
    for address in over { resting[address] = nil }
    return over
  }

  private func isFree(_ address: IPAddress, at time: Timestamp) -> Bool {
    guard !used.contains(address), reservation(of: address) == nil else { return false }
    return resting[address].map { time - $0 >= rest } ?? true
  }

  private func after(_ address: IPAddress) -> IPAddress {
    var next = address.next
    if let reserved = reservation(of: next) { next = reserved.lastAddress.next }
    return prefix.contains(next) ? next : prefix.address
  }

  /// The reserved range that holds `address`: network, broadcast, services, ChromeOS.
  private func reservation(of address: IPAddress) -> IPPrefix? {
    if address == prefix.address || address == prefix.lastAddress {
      return IPPrefix(host: address)
    }
    return Self.reserved.first { $0.contains(address) }
  }

  /// Never given to nodes: the services' ranges and what ChromeOS gives its virtual machines.
  static let reserved: [IPPrefix] = {
    var ranges = [TailnetRanges.chromeOSReserved, IPPrefix(host: TailnetRanges.serviceV6)]
    if let services = IPPrefix(TailnetRanges.serviceV4, length: 24) {
      ranges.append(services.masked)
    }
    return ranges
  }()
}
