// SPDX-License-Identifier: Apache-2.0

internal import CHost
internal import Glibc

/// What an interface of the host does in place of the processor, by the names that `ethtool` has.
public struct InterfaceOffloads: Hashable, Sendable {
  /// The most that are read; kernels know some seventy.
  private static let maximumCount = 256

  /// Whether it does each of the things that its kernel knows.
  public var states: [String: Bool]

  /// Those of an interface, by their states.
  public init(states: [String: Bool]) { self.states = states }

  /// Those of the interface `name` in the network namespace of the calling thread.
  ///
  /// - Throws: `HostError` when there is no such interface, or it cannot be asked.
  public init(ofInterface name: String) throws(HostError) {
    var features = [chost_feature](repeating: chost_feature(), count: Self.maximumCount)
    // SAFETY: there is room for as many as are asked for; the name lives through the call.
    let count = unsafe chost_interface_features(name, &features, Int32(features.count))
    try check(count, "read the offloads of the interface \(name)")
    states = [:]
    for feature in features.prefix(Int(count)) {
      // SAFETY: the name ends in a zero byte.
      let text = unsafe withUnsafeBytes(of: feature.name) { bytes in
        unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if !text.isEmpty { states[text] = feature.is_active != 0 }
    }
  }

  /// Whether datagrams that the host forwards stay together in trains on their way through it.
  ///
  /// Without, each of a peer's packets that comes in here and leaves through the tunnel, or the other
  /// way, is a packet of its own all the way. Nil where the kernel cannot do it at all.
  ///
  /// - Source: Linux `Documentation/networking/segmentation-offloads.rst`, from 5.12 on.
  public var keepsForwardedTrains: Bool? {
    guard let forwards = states["rx-udp-gro-forwarding"] else { return nil }
    // Joined as a list of packets they are taken apart again before the tunnel.
    return forwards && states["rx-gro-list"] != true
  }

  /// The command by which an operator lets the interface `name` keep trains; nil when it does.
  public func hint(forInterface name: String) -> String? {
    guard keepsForwardedTrains == false else { return nil }
    return "ethtool -K \(name) rx-udp-gro-forwarding on rx-gro-list off"
  }

  /// Whether the host forwards packets between its interfaces, in either family.
  public static var isHostForwarding: Bool {
    ["ipv4/ip_forward", "ipv6/conf/all/forwarding"].contains { name in
      guard let file = unsafe fopen("/proc/sys/net/\(name)", "re") else { return false }
      defer { unsafe fclose(file) }
      let digit = unsafe fgetc(file)
      return digit > Int32(UInt8(ascii: "0")) && digit <= Int32(UInt8(ascii: "9"))
    }
  }
}
