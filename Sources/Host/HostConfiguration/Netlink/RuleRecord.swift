// SPDX-License-Identifier: Apache-2.0

import Addressing
import CHost

/// A routing rule as the kernel tells of it, and as we ask for it.
struct RuleRecord: Hashable {
  /// What a rule does with a packet that it matches.
  enum Action: UInt8 {
    case lookUp = 1
    case unreachable = 7
  }

  var family: IPAddress.Family
  var priority: UInt32
  var table: UInt32
  /// The number of the action; others than ours occur in rules of others.
  var action: UInt8
  var mark: UInt32
  var mask: UInt32
  var origin: UInt8

  static let fixedSize = 12

  init(
    _ family: IPAddress.Family,
    priority: UInt32,
    _ action: Action,
    table: UInt32 = 0,
    mark: UInt32 = 0,
    mask: UInt32 = 0,
    origin: UInt8
  ) {
    (self.family, self.priority, self.table) = (family, priority, table)
    (self.action, self.mark, self.mask) = (action.rawValue, mark, mask)
    self.origin = origin
  }

  /// Reads RTM_NEWRULE or RTM_DELRULE; nil for any other kind and for other families.
  init?(_ message: NetlinkMessage) throws(NetlinkError) {
    guard [UInt16(RTM_NEWRULE), UInt16(RTM_DELRULE)].contains(message.kind) else { return nil }
    let fixed = try message.fixed(Self.fixedSize)
    guard let family = IPAddress.Family(number: fixed.native(UInt8.self, at: 0)) else { return nil }
    self.family = family
    table = UInt32(fixed.native(UInt8.self, at: 4))
    action = fixed.native(UInt8.self, at: 7)
    (priority, mark, mask, origin) = (0, 0, 0, 0)
    for attribute in try message.attributes(after: Self.fixedSize) {
      switch Int(attribute.kind) {
      case Int(FRA_PRIORITY): priority = try attribute.integer()
      case Int(FRA_TABLE): table = try attribute.integer()
      case Int(FRA_FWMARK): mark = try attribute.integer()
      case Int(FRA_FWMASK): mask = try attribute.integer()
      case Int(FRA_PROTOCOL): origin = try attribute.integer()
      default: break
      }
    }
  }

  /// Lists the rules of a family.
  static func list(_ family: IPAddress.Family) -> NetlinkRequest {
    var request = NetlinkRequest(
      UInt16(RTM_GETRULE),
      flags: NetlinkRequest.Flags.dump,
      operation: "list the routing rules"
    )
    appendFixed(to: &request, family, action: 0)
    return request
  }

  /// Adds this rule; an equal one that exists is an error of the kernel (EEXIST).
  func add() -> NetlinkRequest {
    change(
      UInt16(RTM_NEWRULE),
      flags: NetlinkRequest.Flags.create | NetlinkRequest.Flags.exclusive,
      operation: "add the routing rule \(priority)"
    )
  }

  /// Removes this rule.
  func remove() -> NetlinkRequest {
    change(UInt16(RTM_DELRULE), flags: 0, operation: "remove the routing rule \(priority)")
  }

  private func change(_ kind: UInt16, flags: UInt16, operation: String) -> NetlinkRequest {
    var request = NetlinkRequest(
      kind,
      flags: flags | NetlinkRequest.Flags.acknowledge,
      operation: operation
    )
    Self.appendFixed(to: &request, family, action: action)
    request.attribute(Int(FRA_PRIORITY), priority)
    request.attribute(Int(FRA_PROTOCOL), origin)
    if table != 0 { request.attribute(Int(FRA_TABLE), table) }
    if mask != 0 {
      request.attribute(Int(FRA_FWMARK), mark)
      request.attribute(Int(FRA_FWMASK), mask)
    }
    return request
  }

  /// `struct fib_rule_hdr`: the table goes into an attribute, as it may be above 255.
  private static func appendFixed(
    to request: inout NetlinkRequest,
    _ family: IPAddress.Family,
    action: UInt8
  ) {
    for byte in [family.number, 0, 0, 0, 0, 0, 0, action] { request.append(byte) }
    request.append(UInt32(0))
  }
}
