// SPDX-License-Identifier: Apache-2.0

import Addressing
import CommandLine
import ControlProtocol
import JSON
import LocalAPI

extension LocalClient {
  /// How the node is doing.
  func status(peers: Bool = true) async throws -> Status {
    try await record("GET", "status" + (peers ? "" : "?peers=false"))
  }

  /// The preferences.
  func preferences() async throws -> Preferences { try await record("GET", "prefs") }

  /// Makes an edit; returns the preferences after it.
  @discardableResult
  func edit(_ edit: MaskedPreferences) async throws -> Preferences {
    try await record("PATCH", "prefs", edit.json)
  }

  /// Throws the reason why preferences cannot be taken over.
  func check(_ preferences: Preferences) async throws {
    let reply: ErrorReply = try await record("POST", "check-prefs", preferences.json)
    guard reply.error.isEmpty else { throw CommandError(reply.error) }
  }

  /// Takes preferences over, and logs in with a key if one is given.
  func start(_ options: StartOptions) async throws {
    _ = try await ask("POST", "start", options.json)
  }

  /// Begins a login that a person completes.
  func startInteractiveLogin() async throws { _ = try await ask("POST", "login-interactive") }

  /// Gives up the node's key.
  func logout() async throws { _ = try await ask("POST", "logout") }

  /// What came of asking a peer; nil when there was no answer in time.
  func ping(
    _ address: IPAddress,
    kind: PingKind,
    size: Int,
    timeout: Duration
  ) async throws -> PingResult? {
    let target = "ping?ip=\(address)&type=\(kind.rawValue)" + (size > 0 ? "&size=\(size)" : "")
    do {
      return try read(try await ask("POST", target, timeout: timeout))
    } catch let error as CommandError where error == DaemonFailure.timedOut(path) {
      return nil
    }
  }

  /// Who is behind an address, or an address and port.
  func whoIs(_ address: String, transport: String) async throws -> WhoIsResponse {
    let protocolPart = transport.isEmpty ? "" : "&proto=" + transport
    return try await record("GET", "whois?addr=" + address + protocolPart)
  }

  /// Measures the network.
  func netcheck() async throws -> NetcheckReport { try await record("POST", "netcheck") }

  /// What the gateway offers and forwards.
  func portMapping() async throws -> PortMappingReport {
    try await record("POST", "debug-portmap?format=json")
  }

  /// The relays; nil before there is a netmap.
  func relayMap() async throws -> DERPMap? {
    let bytes = try await ask("GET", "derpmap")
    let tree: JSONValue = try read(bytes)
    return tree.isNull ? nil : try read(bytes)
  }

  /// What happens from now on.
  func watch(_ mask: WatchMask = []) async throws -> BusWatch {
    BusWatch(try await stream("watch-ipn-bus?mask=\(mask.rawValue)"), self)
  }
}
