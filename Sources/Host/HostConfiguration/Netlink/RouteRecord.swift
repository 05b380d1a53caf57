// SPDX-License-Identifier: Apache-2.0

import Addressing
import CHost

/// A route as the kernel tells of it.
struct RouteRecord: Hashable {
  var destination: IPPrefix
  var table: UInt32
  var origin: UInt8
  var type: UInt8
  var interfaceIndex: UInt32?
  var gateway: IPAddress?
  var metric: UInt32 = 0

  static let fixedSize = 12
  static let typeUnicast: UInt8 = 1
  static let tableMain: UInt32 = 254
  static let flagCloned: UInt32 = 0x200
  private static let scopeLink: UInt8 = 253
  private static let scopeAny: UInt8 = 255

  /// Reads RTM_NEWROUTE or RTM_DELROUTE; nil for any other kind, family, and for cached routes.
  init?(_ message: NetlinkMessage) throws(NetlinkError) {
    guard [UInt16(RTM_NEWROUTE), UInt16(RTM_DELROUTE)].contains(message.kind) else { return nil }
    let fixed = try message.fixed(Self.fixedSize)
    guard let family = IPAddress.Family(number: fixed.native(UInt8.self, at: 0)),
      fixed.native(UInt32.self, at: 8) & Self.flagCloned == 0
    else { return nil }
    table = UInt32(fixed.native(UInt8.self, at: 4))
    origin = fixed.native(UInt8.self, at: 5)
    type = fixed.native(UInt8.self, at: 7)
    var address = IPAddress.unspecified(family)
    for attribute in try message.attributes(after: Self.fixedSize) {
      switch Int(attribute.kind) {
      case Int(RTA_DST.rawValue): address = try Self.address(attribute.value, family)
      case Int(RTA_GATEWAY.rawValue): gateway = try Self.address(attribute.value, family)
      case Int(RTA_OIF.rawValue): interfaceIndex = try attribute.integer()
      case Int(RTA_PRIORITY.rawValue): metric = try attribute.integer()
      case Int(RTA_TABLE.rawValue): table = try attribute.integer()
      case Int(RTA_MULTIPATH.rawValue):
        interfaceIndex = try Self.firstHop(attribute.value)
      default: break
      }
    }
    guard let prefix = IPPrefix(address, length: Int(fixed.native(UInt8.self, at: 1))) else {
      throw .badValue
    }
    destination = prefix
  }

  private static func address(
    _ bytes: ArraySlice<UInt8>,
    _ family: IPAddress.Family
  ) throws(NetlinkError) -> IPAddress {
    guard let address = IPAddress(bytes: bytes), address.family == family else { throw .badValue }
    return address
  }

  /// The interface of the first of several next hops: length, flags, weight, index.
  private static func firstHop(_ bytes: ArraySlice<UInt8>) throws(NetlinkError) -> UInt32 {
    guard bytes.count >= 8 else { throw .truncated(needed: 8, got: bytes.count) }
    return bytes.native(UInt32.self, at: 4)
  }

  /// Lists the routes of a family: those of one table and origin where the kernel can choose, else
  /// all of them.
  static func list(
    _ family: IPAddress.Family,
    table: UInt32,
    origin: UInt8 = 0
  ) -> NetlinkRequest {
    var request = NetlinkRequest(
      UInt16(RTM_GETROUTE),
      flags: NetlinkRequest.Flags.dump,
      operation: "list the routes of table \(table)"
    )
    appendFixed(to: &request, family, length: 0, origin: origin, scope: 0, type: 0)
    request.attribute(Int(RTA_TABLE.rawValue), table)
    return request
  }

  /// Leads a prefix out of an interface; a route of others to the same prefix stays beside it.
  static func add(
    _ prefix: IPPrefix,
    to index: UInt32,
    table: UInt32,
    origin: UInt8
  ) -> NetlinkRequest {
    var request = NetlinkRequest(
      UInt16(RTM_NEWROUTE),
      flags: NetlinkRequest.Flags.create | NetlinkRequest.Flags.acknowledge,
      operation: "add the route \(prefix) to table \(table)"
    )
    appendFixed(
      to: &request,
      prefix.address.family,
      length: UInt8(prefix.length),
      origin: origin,
      scope: prefix.address.isV4 ? scopeLink : 0,
      type: typeUnicast
    )
    request.attribute(Int(RTA_TABLE.rawValue), table)
    appendDestination(to: &request, prefix.masked)
    request.attribute(Int(RTA_OIF.rawValue), index)
    return request
  }

  /// Removes this route, and no other to the same destination.
  func remove() -> NetlinkRequest {
    var request = NetlinkRequest(
      UInt16(RTM_DELROUTE),
      flags: NetlinkRequest.Flags.acknowledge,
      operation: "remove the route \(destination) from table \(table)"
    )
    Self.appendFixed(
      to: &request,
      destination.address.family,
      length: UInt8(destination.length),
      origin: origin,
      scope: Self.scopeAny,
      type: type
    )
    request.attribute(Int(RTA_TABLE.rawValue), table)
    Self.appendDestination(to: &request, destination)
    if metric != 0 { request.attribute(Int(RTA_PRIORITY.rawValue), metric) }
    if let interfaceIndex { request.attribute(Int(RTA_OIF.rawValue), interfaceIndex) }
    return request
  }

  private static func appendDestination(to request: inout NetlinkRequest, _ prefix: IPPrefix) {
    guard prefix.length > 0 else { return }
    request.attribute(Int(RTA_DST.rawValue), prefix.address.bytes)
  }

  /// `struct rtmsg`: the table goes into an attribute, as it may be above 255.
  private static func appendFixed(
    to request: inout NetlinkRequest,
    _ family: IPAddress.Family,
    length: UInt8,
    origin: UInt8,
    scope: UInt8,
    type: UInt8
  ) {
    for byte in [family.number, length, 0, 0, 0, origin, scope, type] { request.append(byte) }
    request.append(UInt32(0))
  }
}
