// SPDX-License-Identifier: Apache-2.0

import Addressing
import ControlProtocol
import Keys
import LocalAPI
import NodeAPIs
import Synchronization

/// A node behind the real LocalAPI: it joins with the key `good`, or when a person is let in.
final class FakeNode: NodeControl {
  struct State {
    var status = Status()
    var preferences = Preferences()
    var acts: [String] = []
    var watchers: [AsyncStream<Notification>.Continuation] = []
    var answersPings = true
    var relays: DERPMap?
    var relaySessions = RelaySessions()
    /// What its peer calls itself.
    var name = "beta"
    /// Why a key is refused.
    var refusal = "invalid key"
  }

  let state: Mutex<State>

  init(_ status: Status = Status()) {
    var first = State()
    first.status = status
    state = Mutex(first)
  }

  var acts: [String] { state.withLock { $0.acts } }

  /// Changes the node and tells those who watch.
  func change(_ change: @Sendable (inout State) -> Void) {
    let (told, watchers) = state.withLock { state in
      change(&state)
      var message = Notification()
      message.state = state.status.state
      if !state.status.authURL.isEmpty { message.browseToURL = state.status.authURL }
      return (message, state.watchers)
    }
    for watcher in watchers { watcher.yield(told) }
  }

  /// The node is connected, under the key made of `byte`.
  func connect(key byte: UInt8 = 1) {
    change { state in
      state.status.backendState = BackendState.running.name
      state.status.haveNodeKey = true
      state.status.authURL = ""
      state.status.tailscaleIPs = [IPAddress(100, 64, 0, 1), IPAddress(high: 1, low: 1)]
      state.status.selfStatus.publicKey =
        NodeKey(bytes: [UInt8](repeating: byte, count: 32)) ?? .zero
    }
  }

  func status(includingPeers: Bool) async -> Status {
    state.withLock {
      var status = $0.status
      if !includingPeers { status.peers = nil }
      return status
    }
  }

  func preferences() async -> Preferences { state.withLock { $0.preferences } }
  func check(_ preferences: Preferences) async throws {}

  func edit(_ edit: MaskedPreferences, by actor: LocalActor) async throws -> Preferences {
    let changed = try state.withLock {
      $0.acts.append("edit " + edit.keys.map(\.rawValue).sorted().joined(separator: ","))
      $0.preferences = try $0.preferences.applying(edit)
      return $0.preferences
    }
    if edit.keys.contains(.wantRunning) {
      change { state in
        guard state.status.haveNodeKey else { return }
        let next: BackendState = changed.wantRunning ? .running : .stopped
        state.status.backendState = next.name
      }
    }
    return changed
  }

  func start(_ options: StartOptions, by actor: LocalActor) async throws {
    change { state in
      state.acts.append("start" + (options.authKey.isEmpty ? "" : " with a key"))
      if let wanted = options.updatePreferences { state.preferences = wanted }
      if !state.status.haveNodeKey { state.status.backendState = BackendState.needsLogin.name }
    }
    switch options.authKey {
    case "good": connect()
    case "": if state.withLock({ $0.status.haveNodeKey }) { connect() }
    default:
      var message = Notification()
      message.errorMessage = state.withLock { $0.refusal }
      for watcher in state.withLock({ $0.watchers }) { watcher.yield(message) }
    }
  }

  func startInteractiveLogin() async throws {
    change { state in
      state.acts.append("login")
      state.status.authURL = "http://control.example/register/abc"
    }
  }

  func logout() async throws {
    change { state in
      state.acts.append("logout")
      state.status = Status()
      state.status.backendState = BackendState.needsLogin.name
    }
  }

  func watch(_ mask: WatchMask) async -> AsyncStream<Notification> {
    let (stream, continuation) = AsyncStream<Notification>.makeStream()
    state.withLock { $0.watchers.append(continuation) }
    return stream
  }

  func ping(_ address: IPAddress, kind: PingKind, size: Int) async throws -> PingResult {
    guard state.withLock({ $0.answersPings }) else {
      // Until the client gives up.
      try await Task.sleep(for: .seconds(3600))
      throw CancellationError()
    }
    var result = PingResult()
    (result.ip, result.nodeIP) = ("\(address)", "\(address)")
    result.nodeName = state.withLock { $0.name }
    result.latencySeconds = 0.0234
    if kind == .disco { (result.derpRegionID, result.derpRegionCode) = (900, "lab") }
    return result
  }

  func netcheck() async throws -> NetcheckReport {
    var report = NetcheckReport()
    report.udp = true
    return report
  }

  func portMapping() async -> PortMappingReport {
    var report = PortMappingReport()
    (report.allowed, report.gateway) = (["pcp"], IPAddress(192, 168, 1, 1))
    (report.own, report.pcp) = (IPAddress(192, 168, 1, 2), true)
    return report
  }

  func whoIs(_ address: IPAddress, port: UInt16, transport: String) async -> WhoIsResponse? {
    guard address == IPAddress(100, 64, 0, 2) else { return nil }
    let name = state.withLock { $0.name }
    return WhoIsResponse(
      node: Node(id: 2, stableID: "n2", name: name + ".tail.example.", user: 1),
      userProfile: UserProfile(id: 1, loginName: "alice@example.com", displayName: "Alice")
    )
  }

  func whoIs(_ key: NodeKey) async -> WhoIsResponse? { nil }
  func node(withID id: Int64) async -> Node? { nil }
  func userProfile(withID id: Int64) async -> UserProfile? { nil }
  func relayMap() async -> DERPMap? { state.withLock { $0.relays } }
  func dnsConfiguration() async -> DNSConfig? { nil }
  func userMetrics() async -> String { "" }
  func clientMetrics() async -> String { "" }
  func relaySessions() async -> RelaySessions { state.withLock { $0.relaySessions } }
  func profiles() async -> [LoginProfile] { [] }
  func currentProfile() async -> LoginProfile { LoginProfile() }
}
