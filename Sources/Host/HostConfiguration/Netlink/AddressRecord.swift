// SPDX-License-Identifier: Apache-2.0

import Addressing
import CHost

/// An address of an interface as the kernel tells of it.
struct AddressRecord: Hashable {
  var index: UInt32
  var prefix: IPPrefix
  var flags: UInt32
  /// Who gave it, where the kernel keeps that (Linux 5.18 and later).
  var origin: UInt8?

  static let fixedSize = 8
  /// IFA_PROTO, which older headers do not have.
  private static let attributeOrigin = 11
  static let flagTemporary: UInt32 = 0x01
  static let flagDuplicate: UInt32 = 0x08
  static let flagDeprecated: UInt32 = 0x20
  static let flagTentative: UInt32 = 0x40
  static let flagNoDuplicateDetection: UInt32 = 0x02

  init(index: UInt32, prefix: IPPrefix, flags: UInt32, origin: UInt8? = nil) {
    (self.index, self.prefix, self.flags, self.origin) = (index, prefix, flags, origin)
  }

  /// Reads RTM_NEWADDR or RTM_DELADDR; nil for any other kind, and for other families.
  init?(_ message: NetlinkMessage) throws(NetlinkError) {
    guard [UInt16(RTM_NEWADDR), UInt16(RTM_DELADDR)].contains(message.kind) else { return nil }
    let fixed = try message.fixed(Self.fixedSize)
    guard let family = IPAddress.Family(number: fixed.native(UInt8.self, at: 0)) else { return nil }
    let length = Int(fixed.native(UInt8.self, at: 1))
    flags = UInt32(fixed.native(UInt8.self, at: 2))
    index = fixed.native(UInt32.self, at: 4)
    var local: ArraySlice<UInt8>?
    var other: ArraySlice<UInt8>?
    for attribute in try message.attributes(after: Self.fixedSize) {
      switch Int(attribute.kind) {
      case Int(IFA_LOCAL): local = attribute.value
      case Int(IFA_ADDRESS): other = attribute.value
      case Int(IFA_FLAGS): flags = try attribute.integer()
      case Self.attributeOrigin: origin = try attribute.integer()
      default: break
      }
    }
    // On links with two ends the plain address is the other end's.
    guard let bytes = local ?? other, let address = IPAddress(bytes: bytes),
      address.family == family, let prefix = IPPrefix(address, length: length)
    else { throw .badValue }
    self.prefix = prefix
  }

  /// Lists every address.
  static func list() -> NetlinkRequest {
    var request = NetlinkRequest(
      UInt16(RTM_GETADDR),
      flags: NetlinkRequest.Flags.dump,
      operation: "list the addresses of this host"
    )
    request.append(UInt32(0))
    request.append(UInt32(0))
    return request
  }

  /// Gives an interface an address.
  static func add(
    _ prefix: IPPrefix,
    to index: UInt32,
    name: String,
    origin: UInt8
  ) -> NetlinkRequest {
    var request = change(
      UInt16(RTM_NEWADDR),
      flags: NetlinkRequest.Flags.create | NetlinkRequest.Flags.replace,
      prefix,
      index,
      operation: "add the address \(prefix) to \(name)"
    )
    // Kernels that do not know it pass it over.
    request.attribute(attributeOrigin, origin)
    return request
  }

  /// Takes an address from an interface.
  static func remove(_ prefix: IPPrefix, from index: UInt32, name: String) -> NetlinkRequest {
    change(
      UInt16(RTM_DELADDR),
      flags: 0,
      prefix,
      index,
      operation: "remove the address \(prefix) from \(name)"
    )
  }

  /// `struct ifaddrmsg`: family, prefix length, flags, scope, index.
  private static func change(
    _ kind: UInt16,
    flags: UInt16,
    _ prefix: IPPrefix,
    _ index: UInt32,
    operation: String
  ) -> NetlinkRequest {
    var request = NetlinkRequest(
      kind,
      flags: flags | NetlinkRequest.Flags.acknowledge,
      operation: operation
    )
    request.append(prefix.address.family.number)
    request.append(UInt8(prefix.length))
    request.append(UInt8(flagNoDuplicateDetection))
    request.append(UInt8(0))
    request.append(index)
    request.attribute(Int(IFA_LOCAL), prefix.address.bytes)
    request.attribute(Int(IFA_ADDRESS), prefix.address.bytes)
    return request
  }
}
