// SPDX-License-Identifier: Apache-2.0

import Addressing
import CHost
package import HostIO
package import HostSettings

extension HostFacts {
  /// Asks the kernel for the networks of the calling thread's namespace.
  package static func current() throws(HostError) -> HostFacts {
    var socket = try NetlinkSocket()
    return try read(from: &socket)
  }

  static func read(from socket: inout NetlinkSocket) throws(HostError) -> HostFacts {
    let links = try socket.records(LinkRecord.list()) { message throws(NetlinkError) in
      try LinkRecord(message)
    }
    let addresses = try socket.records(AddressRecord.list()) { message throws(NetlinkError) in
      try AddressRecord(message)
    }
    var routes: [RouteRecord] = []
    for family in IPAddress.Family.allCases {
      if family == .v6, IPv6Support.isMissing { continue }
      routes += try mainRoutes(family, from: &socket)
    }
    return HostFacts(links: links, addresses: addresses, routes: routes)
  }

  private static func mainRoutes(
    _ family: IPAddress.Family,
    from socket: inout NetlinkSocket
  ) throws(HostError) -> [RouteRecord] {
    do throws(HostError) {
      let request = RouteRecord.list(family, table: RouteRecord.tableMain)
      return try socket.records(request) { message throws(NetlinkError) in
        try RouteRecord(message)
      }
    } catch {
      // A namespace in which no route was ever set has no main table.
      guard error.code == ENOENT else { throw error }
      return []
    }
  }

  /// Puts together what the kernel told in records.
  init(links: [LinkRecord], addresses: [AddressRecord], routes: [RouteRecord]) {
    self.init()
    interfaces = links.map { link in
      NetworkInterface(
        index: Int(link.index),
        name: link.name,
        isUp: link.isUp,
        isLoopback: link.isLoopback,
        mtu: Int(link.mtu),
        kind: link.kind,
        addresses: addresses.filter { $0.index == link.index }.map(InterfaceAddress.init)
      )
    }
    .sorted { $0.index < $1.index }
    defaultRoutes = routes.filter {
      $0.destination.length == 0 && $0.table == RouteRecord.tableMain
        && $0.type == RouteRecord.typeUnicast
    }
    .compactMap { route in
      route.interfaceIndex.map {
        DefaultRoute(
          family: route.destination.address.family,
          interfaceIndex: Int($0),
          gateway: route.gateway,
          metric: Int(route.metric)
        )
      }
    }
    .sorted { ($0.family.rawValue, $0.metric) < ($1.family.rawValue, $1.metric) }
  }
}

extension InterfaceAddress {
  init(_ record: AddressRecord) {
    let isV6 = !record.prefix.address.isV4
    self.init(
      record.prefix,
      isTentative: record.flags & (AddressRecord.flagTentative | AddressRecord.flagDuplicate) != 0,
      isDeprecated: record.flags & AddressRecord.flagDeprecated != 0,
      // In IPv4 the same bit says that the address is the second of its network.
      isTemporary: isV6 && record.flags & AddressRecord.flagTemporary != 0
    )
  }
}
