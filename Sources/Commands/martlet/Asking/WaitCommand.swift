// SPDX-License-Identifier: Apache-2.0

import Addressing
import ArgumentParser
import CommandLine
import Glibc
import LocalAPI

/// `martlet wait`: waits until the network can be used.
struct WaitCommand: DaemonCommand {
  static let configuration = CommandConfiguration(
    commandName: "wait",
    abstract: "Wait until this machine is connected and its address can be used.",
    discussion: "For services that bind to the address: ExecStartPre=martlet wait"
  )

  @OptionGroup var daemon: DaemonOptions
  @Option(
    help: ArgumentHelp("How long to wait; 0 for as long as it takes (0).", valueName: "duration"),
    transform: settingValue
  )
  var timeout: Duration?

  func run() async throws {
    let client = client
    guard let timeout, timeout > .zero else { return try await Self.wait(client) }
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await Self.wait(client) }
      group.addTask {
        try await Task.sleep(for: timeout)
        throw CommandError(
          "timeout waiting for Martlet to be connected",
          hint: "'martlet status' shows how it is doing."
        )
      }
      defer { group.cancelAll() }
      try await group.next()
    }
  }

  private static func wait(_ client: LocalClient) async throws {
    let pause = Duration.milliseconds(250)
    while true {
      do {
        let status = try await client.status(peers: false)
        if status.state == .running {
          guard status.tun, let address = status.tailscaleIPs?.first else { return }
          if LocalAddress.isPresent(address) { return }
        }
      } catch let error as CommandError where error == DaemonFailure.notRunning(client.path) {
        // It may yet come.
      }
      try await Task.sleep(for: pause)
    }
  }
}

/// Addresses of this host.
enum LocalAddress {
  /// Whether an interface holds `address`: whether a socket can be bound to it.
  static func isPresent(_ address: IPAddress) -> Bool {
    let family = address.isV4 ? AF_INET : AF_INET6
    let descriptor = socket(family, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    if address.isV4 {
      var place = sockaddr_in()
      place.sin_family = sa_family_t(AF_INET)
      place.sin_addr.s_addr = address.v4Bits.bigEndian
      return bind(descriptor, to: &place)
    }
    var place = sockaddr_in6()
    place.sin6_family = sa_family_t(AF_INET6)
    unsafe withUnsafeMutableBytes(of: &place.sin6_addr) { unsafe $0.copyBytes(from: address.bytes) }
    return bind(descriptor, to: &place)
  }

  private static func bind<Place>(_ descriptor: Int32, to place: inout Place) -> Bool {
    unsafe withUnsafeBytes(of: &place) { bytes in
      // SAFETY: the address outlives the call, which reads at most its size.
      unsafe Glibc.bind(
        descriptor,
        bytes.baseAddress?.assumingMemoryBound(to: sockaddr.self),
        socklen_t(bytes.count)
      ) == 0
    }
  }
}
