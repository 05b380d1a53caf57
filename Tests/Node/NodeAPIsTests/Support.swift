// SPDX-License-Identifier: Apache-2.0

import Addressing
import ControlProtocol
import Glibc
import HTTPTransport
import JSON
import Keys
import LocalAPI
import Logging
import Synchronization

@testable import NodeAPIs

/// A node that remembers what it was asked and answers what a test gave it.
final class FakeNode: NodeControl {
  struct State {
    var status = Status()
    var preferences = Preferences()
    /// What was asked that changes something, in order.
    var acts: [String] = []
    var refusal: NodeRefusal?
    var watchers: [AsyncStream<Notification>.Continuation] = []
    var initial: Notification?
    var whoIs: WhoIsResponse?
    var pings: [String] = []
  }

  let state = Mutex(State())

  var acts: [String] { state.withLock { $0.acts } }

  func status(includingPeers: Bool) async -> Status {
    state.withLock {
      var status = $0.status
      if !includingPeers { status.peers = nil }
      return status
    }
  }

  func preferences() async -> Preferences { state.withLock { $0.preferences } }

  func check(_ preferences: Preferences) async throws {
    if let refusal = state.withLock({ $0.refusal }) { throw refusal }
  }

  func edit(_ edit: MaskedPreferences, by actor: LocalActor) async throws -> Preferences {
    try await check(Preferences())
    return try state.withLock {
      $0.acts.append("edit " + edit.keys.map(\.rawValue).sorted().joined(separator: ","))
      $0.preferences = try $0.preferences.applying(edit)
      return $0.preferences
    }
  }

  func start(_ options: StartOptions, by actor: LocalActor) async throws {
    try await act("start with \(options.authKey)")
  }

  func startInteractiveLogin() async throws { try await act("login") }
  func logout() async throws { try await act("logout") }

  private func act(_ what: String) async throws {
    try await check(Preferences())
    state.withLock { $0.acts.append(what) }
  }

  func watch(_ mask: WatchMask) async -> AsyncStream<Notification> {
    let (stream, continuation) = AsyncStream<Notification>.makeStream()
    state.withLock {
      if let initial = $0.initial { continuation.yield(initial) }
      $0.watchers.append(continuation)
    }
    return stream
  }

  /// Tells every watcher.
  func tell(_ message: Notification) {
    for watcher in state.withLock({ $0.watchers }) { watcher.yield(message) }
  }

  /// Ends every watch.
  func endWatches() { for watcher in state.withLock({ $0.watchers }) { watcher.finish() } }

  func ping(_ address: IPAddress, kind: PingKind, size: Int) async throws -> PingResult {
    try await check(Preferences())
    state.withLock { $0.pings.append("\(address) \(kind.rawValue) \(size)") }
    var result = PingResult()
    result.ip = address.description
    result.latencySeconds = 0.025
    return result
  }

  func netcheck() async throws -> NetcheckReport { NetcheckReport() }
  func portMapping() async -> PortMappingReport { PortMappingReport() }

  func whoIs(_ address: IPAddress, port: UInt16, transport: String) async -> WhoIsResponse? {
    state.withLock { $0.whoIs }
  }

  func whoIs(_ key: NodeKey) async -> WhoIsResponse? { state.withLock { $0.whoIs } }
  func node(withID id: Int64) async -> Node? { id == 7 ? Node(id: 7) : nil }
  func userProfile(withID id: Int64) async -> UserProfile? { id == 1 ? UserProfile() : nil }
  func relayMap() async -> DERPMap? { nil }
  func dnsConfiguration() async -> DNSConfig? { nil }
  func userMetrics() async -> String { "tailscaled_health_messages 0\n" }
  func clientMetrics() async -> String { "everything 1\n" }
  func relaySessions() async -> RelaySessions {
    var answer = RelaySessions()
    answer.port = 40_000
    return answer
  }
  func profiles() async -> [LoginProfile] { [] }

  func currentProfile() async -> LoginProfile {
    var profile = LoginProfile()
    profile.id = "1ab3"
    return profile
  }
}

let quietLogger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// Whoever speaks to the daemon.
enum Caller {
  static let root = PeerCredentials(processID: 1, userID: 0, groupID: 0)
  static let nobody = PeerCredentials(processID: 2, userID: 65_534, groupID: 65_534)
}

/// The handler in front of `node`, run by root.
func handler(_ node: FakeNode, daemonUserID: UInt32 = 0) -> LocalAPIHandler {
  LocalAPIHandler(node: node, version: "0.1.0", daemonUserID: daemonUserID, logger: quietLogger)
}

/// A request as it comes out of the transport; `path` follows `/localapi/v0/`.
func request(
  _ method: String,
  _ path: String,
  by credentials: PeerCredentials? = Caller.root,
  headers: HTTPHeaders = ["Host": "local-martletd.sock"],
  body: String = ""
) -> HTTPRequest {
  HTTPRequest(
    method: method,
    path: path.hasPrefix("/") ? path : LocalAPIRoutes.prefix + path,
    headers: headers,
    body: Array(body.utf8),
    remote: HTTPRemote(endpoint: nil, credentials: credentials, isTLS: false)
  )
}

extension HTTPResponse {
  /// The body as text; empty when it streams.
  var text: String {
    guard case .bytes(let bytes) = body else { return "" }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// The body as JSON.
  func tree() throws -> JSONValue { try JSONValue(parsing: text) }
}

/// A directory that goes away with what is in it.
struct ScratchDirectory: ~Copyable {
  let path: String

  init() {
    var template = Array("/tmp/martlet-localapi-XXXXXX".utf8CString)
    // SAFETY: the template ends with a zero byte and is changed in place.
    guard unsafe mkdtemp(&template) != nil else { fatalError("no scratch directory") }
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  deinit {
    _ = unsafe unlink(path + "/sub/daemon.sock")
    _ = unsafe unlink(path + "/daemon.sock")
    _ = unsafe rmdir(path + "/sub")
    _ = unsafe rmdir(path)
  }
}
