// SPDX-License-Identifier: Apache-2.0

import Addressing
import CommandLine
import ControlProtocol
import CoordinationServer
import Keys
import Logging
import RelayServer
import Synchronization

/// The relay that runs in the same process, for the nodes of this network and nobody else.
final class EmbeddedRelay: Sendable {
  private let settings: ServeSettings.Relay
  private let server: RelayServer
  private let members: Members
  private let dismissing = Mutex<Task<Void, Never>?>(nil)

  /// Whom the relay serves: nobody, until the coordination server runs.
  private final class Members: Sendable {
    private let coordinator = Mutex<Coordinator?>(nil)

    func ask(_ coordinator: Coordinator) { self.coordinator.withLock { $0 = coordinator } }

    func contains(_ key: NodeKey) async -> Bool {
      await coordinator.withLock { $0 }?.isMember(key) ?? false
    }
  }

  /// A relay that does not run yet; its key and certificate are there.
  init(
    _ settings: ServeSettings.Relay,
    on listen: [Endpoint],
    state: String,
    logger: Logger
  ) throws {
    let members = Members()
    let addresses = Set(listen.map(\.address)).sorted()
    let options = RelayOptions(
      listen: addresses.map { Endpoint($0, port: settings.port) },
      stun: settings.stunPort == 0 ? [] : addresses.map { Endpoint($0, port: settings.stunPort) },
      hostname: settings.hostname,
      certificate: settings.certificate.map { .files(certificate: $0.chain, key: $0.key) }
        ?? .selfSigned,
      stateDirectory: state,
      admits: { key, _ in await members.contains(key) }
    )
    self.settings = settings
    self.members = members
    do {
      server = try RelayServer(options: options, logger: logger)
    } catch {
      throw CommandError("cannot start the relay: \(error)")
    }
  }

  /// Puts the relay into the map that nodes are told.
  func join(_ map: inout DERPMap) throws(CommandError) {
    var regions = map.regions ?? [:]
    guard regions[settings.region] == nil else {
      throw CommandError(
        "region \(settings.region) stands in the relay map and is the embedded relay's too",
        hint: "Choose another with --derp-region.",
        code: .configuration
      )
    }
    let address = settings.address
    let node = DERPNode(
      name: "\(settings.region)a",
      regionID: settings.region,
      hostName: settings.hostname,
      certName: server.certificateName,
      ipv4: address.map { $0.isV4 ? $0.description : "none" } ?? "",
      ipv6: address.map { $0.isV4 ? "none" : $0.description } ?? "",
      stunPort: settings.stunPort == 0 ? -1 : Int(settings.stunPort),
      derpPort: Int(settings.port)
    )
    regions[settings.region] = DERPRegion(
      regionID: settings.region,
      regionCode: "martlet",
      regionName: "Martlet",
      nodes: [node]
    )
    map.regions = regions
  }

  /// Begins to serve the members of the network.
  func start(for coordinator: Coordinator) async throws {
    members.ask(coordinator)
    try await server.start()
    let server = server
    dismissing.withLock {
      $0 = Task { for await key in coordinator.lostKeys { server.disconnect(key) } }
    }
  }

  /// Stops serving.
  func shutDown() async {
    dismissing.withLock { $0?.cancel() }
    await server.shutdown()
  }
}
