// SPDX-License-Identifier: Apache-2.0

import Addressing
import CHost

/// An interface as the kernel tells of it.
struct LinkRecord: Hashable {
  var index: UInt32
  var name = ""
  var flags: UInt32
  var mtu: UInt32 = 0
  var kind: String?
  var alias: String?

  static let fixedSize = 16
  static let flagUp: UInt32 = 0x1
  static let flagLoopback: UInt32 = 0x8
  static let flagRunning: UInt32 = 0x40

  var isUp: Bool { flags & Self.flagUp != 0 && flags & Self.flagRunning != 0 }
  var isLoopback: Bool { flags & Self.flagLoopback != 0 }

  /// Reads RTM_NEWLINK or RTM_DELLINK; nil for any other kind.
  init?(_ message: NetlinkMessage) throws(NetlinkError) {
    guard [UInt16(RTM_NEWLINK), UInt16(RTM_DELLINK)].contains(message.kind) else { return nil }
    let fixed = try message.fixed(Self.fixedSize)
    index = fixed.native(UInt32.self, at: 4)
    flags = fixed.native(UInt32.self, at: 8)
    for attribute in try message.attributes(after: Self.fixedSize) {
      switch Int(attribute.kind) {
      case Int(IFLA_IFNAME): name = attribute.text
      case Int(IFLA_MTU): mtu = try attribute.integer()
      case Int(IFLA_IFALIAS): alias = attribute.text
      case Int(IFLA_LINKINFO):
        for inner in try NetlinkAttribute.parse(attribute.value)
        where Int(inner.kind) == Int(IFLA_INFO_KIND) {
          kind = inner.text
        }
      default: break
      }
    }
  }

  /// Lists every interface.
  static func list() -> NetlinkRequest {
    var request = NetlinkRequest(
      UInt16(RTM_GETLINK),
      flags: NetlinkRequest.Flags.dump,
      operation: "list the network interfaces"
    )
    appendFixed(to: &request, index: 0, flags: 0, change: 0)
    return request
  }

  /// Gives an interface an MTU and our alias, and switches it on.
  static func configure(index: UInt32, name: String, mtu: Int, alias: String) -> NetlinkRequest {
    var request = NetlinkRequest(
      UInt16(RTM_NEWLINK),
      flags: NetlinkRequest.Flags.acknowledge,
      operation: "bring up the interface \(name)"
    )
    appendFixed(to: &request, index: index, flags: flagUp, change: flagUp)
    request.attribute(Int(IFLA_MTU), UInt32(clamping: mtu))
    request.attribute(Int(IFLA_IFALIAS), alias)
    return request
  }

  /// Switches an interface on or off.
  static func setUp(_ isUp: Bool, index: UInt32, name: String) -> NetlinkRequest {
    var request = NetlinkRequest(
      UInt16(RTM_NEWLINK),
      flags: NetlinkRequest.Flags.acknowledge,
      operation: "switch the interface \(name) \(isUp ? "on" : "off")"
    )
    appendFixed(to: &request, index: index, flags: isUp ? flagUp : 0, change: flagUp)
    return request
  }

  /// Removes an interface.
  static func remove(index: UInt32, name: String) -> NetlinkRequest {
    var request = NetlinkRequest(
      UInt16(RTM_DELLINK),
      flags: NetlinkRequest.Flags.acknowledge,
      operation: "remove the interface \(name)"
    )
    appendFixed(to: &request, index: index, flags: 0, change: 0)
    return request
  }

  /// `struct ifinfomsg`: family, padding, type, index, flags, which flags to change.
  private static func appendFixed(
    to request: inout NetlinkRequest,
    index: UInt32,
    flags: UInt32,
    change: UInt32
  ) {
    request.append(UInt16(0))
    request.append(UInt16(0))
    request.append(index)
    request.append(flags)
    request.append(change)
  }
}
