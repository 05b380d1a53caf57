// SPDX-License-Identifier: Apache-2.0

import Addressing
import ControlProtocol
import Keys
import LocalAPI
import NodeAPIs
import NodeCore

/// The node as the LocalAPI sees it.
struct NodeDoor: NodeControl {
  let node: NodeBackend

  func status(includingPeers: Bool) async -> Status {
    await node.status(includingPeers: includingPeers)
  }

  func preferences() async -> Preferences {
    await node.currentPreferences().withoutPrivateKeys
  }

  func check(_ preferences: Preferences) async throws {
    try await refusing { try await node.check(preferences) }
  }

  func edit(_ edit: MaskedPreferences, by actor: LocalActor) async throws -> Preferences {
    try await refusing { try await node.edit(edit).withoutPrivateKeys }
  }

  func start(_ options: StartOptions, by actor: LocalActor) async throws {
    try await refusing { try await node.start(options) }
  }

  func startInteractiveLogin() async throws {
    try await refusing { try await node.startInteractiveLogin() }
  }

  func logout() async throws {
    try await refusing { try await node.logout() }
  }

  func watch(_ mask: WatchMask) async -> AsyncStream<Notification> { await node.watch(mask) }

  func ping(_ address: IPAddress, kind: PingKind, size: Int) async throws -> PingResult {
    try await refusing { try await node.ping(address, kind: kind, size: size) }
  }

  func netcheck() async throws -> NetcheckReport {
    try await refusing { try await node.measureNetwork() }
  }

  func portMapping() async -> PortMappingReport { await node.portMappingReport() }

  func whoIs(_ address: IPAddress, port: UInt16, transport: String) async -> WhoIsResponse? {
    await node.whoIs(address)
  }

  func whoIs(_ key: NodeKey) async -> WhoIsResponse? { await node.whoIs(key) }

  func node(withID id: Int64) async -> Node? { await node.node(withID: id) }

  func userProfile(withID id: Int64) async -> UserProfile? { await node.userProfile(withID: id) }

  func relayMap() async -> DERPMap? { await node.relayMap() }

  func dnsConfiguration() async -> DNSConfig? { await node.dnsConfiguration() }

  func userMetrics() async -> String { await node.userMetrics() }

  func clientMetrics() async -> String { await node.clientMetrics() }

  func relaySessions() async -> RelaySessions { await node.relaySessions() }

  func profiles() async -> [LoginProfile] {
    let profile = await node.currentProfile()
    return profile.id.isEmpty ? [] : [profile]
  }

  func currentProfile() async -> LoginProfile { await node.currentProfile() }

  /// Tells the node's errors as refusals.
  private func refusing<Value: Sendable>(_ act: () async throws -> Value) async throws -> Value {
    do {
      return try await act()
    } catch let error as NodeError {
      throw NodeRefusal(error.code.refusal, error.description)
    }
  }
}

extension NodeError.Code {
  /// The kind of refusal that HTTP tells.
  fileprivate var refusal: NodeRefusal.Kind {
    switch self {
    case .invalidRequest, .unsupported: .invalid
    case .wrongState: .conflict
    case .notFound: .notFound
    case .control, .host, .state: .failed
    }
  }
}
