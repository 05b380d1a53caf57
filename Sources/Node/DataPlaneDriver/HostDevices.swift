// SPDX-License-Identifier: Apache-2.0

import Addressing
import HostIO

/// What a data thread owns of the operating system: one TUN queue and one socket a family.
struct HostDevices: ~Copyable, Sendable {
  var tun: TUNDevice
  /// Whether its queue is this thread's to read; otherwise it only writes to it.
  var readsTUN = true
  var v4: UDPSocket
  /// Absent where the host has IPv6 switched off.
  var v6: UDPSocket?

  /// Where the IPv6 socket is bound.
  var v6Endpoint: Endpoint? {
    switch v6 {
    case .some(let socket): socket.localEndpoint
    case nil: nil
    }
  }

  /// What the sockets counted.
  var socketCounters: [UDPSocket.Counters] {
    switch v6 {
    case .some(let socket): [v4.counters, socket.counters]
    case nil: [v4.counters]
    }
  }

  /// The IPv6 socket, for a poller.
  var v6Descriptor: Int32? {
    switch v6 {
    case .some(let socket): socket.rawDescriptor
    case nil: nil
    }
  }

  /// Opens the interface and binds the port in both families.
  ///
  /// - Throws: `HostError` that says what is in the way and what to do.
  static func open(_ options: DataPlaneOptions) throws(HostError) -> HostDevices {
    let v4 = try bindV4(options)
    let v6 = bindV6(options, port: v4.localEndpoint.port)
    let queue: TUNDevice.Queue = options.shards == 1 ? .only : .firstOfSeveral
    let tun = try TUNDevice.open(name: options.interfaceName, queue: queue)
    return HostDevices(tun: tun, v4: v4, v6: v6)
  }

  private static func bindV4(_ options: DataPlaneOptions) throws(HostError) -> UDPSocket {
    let any = IPAddress.unspecified(.v4)
    do throws(HostError) {
      return try UDPSocket.bind(Endpoint(any, port: options.port), mark: options.mark)
    } catch {
      guard options.port == 0 || options.isPortRequired else {
        return try UDPSocket.bind(Endpoint(any, port: 0), mark: options.mark)
      }
      throw HostError("bind UDP port \(options.port)", code: error.code, hint: Self.portHint)
    }
  }

  static let portHint =
    "Another daemon may be running; choose another port with --port, or 0 for any"

  private static func bindV6(_ options: DataPlaneOptions, port: UInt16) -> UDPSocket? {
    let any = IPAddress.unspecified(.v6)
    // The same number in both families helps people and firewalls; another one works as well. A host
    // without IPv6 refuses both, and has none.
    if let same = try? UDPSocket.bind(Endpoint(any, port: port), mark: options.mark) {
      return same
    }
    return try? UDPSocket.bind(Endpoint(any, port: 0), mark: options.mark)
  }
}
