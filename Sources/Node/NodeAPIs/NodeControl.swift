// SPDX-License-Identifier: Apache-2.0

package import Addressing
package import ControlProtocol
package import Keys
package import LocalAPI

/// What the doors of a node may ask of it.
///
/// The running node implements it; tests implement it with a fake. Methods that change something
/// are called only for those who may. An error that is no `NodeRefusal` is told as it describes
/// itself, with status 500.
package protocol NodeControl: Sendable {
  /// How the node is doing; without peers when they are not wanted.
  func status(includingPeers: Bool) async -> Status
  /// The preferences, without private keys.
  func preferences() async -> Preferences
  /// Whether these preferences could be taken over; throws the reason when not.
  func check(_ preferences: Preferences) async throws
  /// Makes an edit; returns the preferences after it, without private keys.
  func edit(_ edit: MaskedPreferences, by actor: LocalActor) async throws -> Preferences
  /// Starts, or starts over, with these options.
  func start(_ options: StartOptions, by actor: LocalActor) async throws
  /// Begins a login that a person completes in a browser; the URL comes over the bus.
  func startInteractiveLogin() async throws
  /// Gives up the node's key and turns the node off.
  func logout() async throws

  /// Everything that happens from now on, preceded by what `mask` wants to know at once.
  ///
  /// The first message, if the mask asks for any, is the initial one. The stream must not drop
  /// messages: it is read as fast as they come, and slow clients are dealt with behind it.
  func watch(_ mask: WatchMask) async -> AsyncStream<Notification>

  /// Asks a peer whether it is there.
  ///
  /// `size` is that of the message in bytes, 0 for the smallest; it counts for discovery only.
  func ping(_ address: IPAddress, kind: PingKind, size: Int) async throws -> PingResult
  /// Measures the network.
  func netcheck() async throws -> NetcheckReport
  /// Looks at what the gateway offers and forwards.
  func portMapping() async -> PortMappingReport

  /// Who is behind an address; `port` and `transport` tell flows of this host apart.
  func whoIs(_ address: IPAddress, port: UInt16, transport: String) async -> WhoIsResponse?
  /// Who has this key.
  func whoIs(_ key: NodeKey) async -> WhoIsResponse?
  /// The node of that ID.
  func node(withID id: Int64) async -> Node?
  /// The user of that ID.
  func userProfile(withID id: Int64) async -> UserProfile?
  /// The relays; nil before there is a netmap.
  func relayMap() async -> DERPMap?
  /// The DNS settings of the netmap; nil before there is one.
  func dnsConfiguration() async -> DNSConfig?

  /// The counters that users are promised, as Prometheus text.
  func userMetrics() async -> String
  /// All counters, as Prometheus text.
  func clientMetrics() async -> String
  /// What the node's peer relay is doing, and for whom.
  func relaySessions() async -> RelaySessions

  /// The logins that are remembered.
  func profiles() async -> [LoginProfile]
  /// The login in use; empty when it is not complete.
  func currentProfile() async -> LoginProfile
}

/// Why a node does not do what it was asked.
package struct NodeRefusal: Error, Hashable, Sendable, CustomStringConvertible {
  /// What kind of refusal, as HTTP tells it.
  package enum Kind: Int, Hashable, Sendable {
    /// The request makes no sense, or asks for what is not served.
    case invalid = 400
    /// Nobody of that name or address is known.
    case notFound = 404
    /// The node's state does not allow it.
    case conflict = 409
    /// Something else failed.
    case failed = 500
    /// It cannot be done yet.
    case unavailable = 503
  }

  /// What kind of refusal.
  package let kind: Kind
  /// What happened, and what to do about it.
  package let message: String

  /// A refusal and its reason.
  package init(_ kind: Kind, _ message: String) { (self.kind, self.message) = (kind, message) }

  /// The reason.
  package var description: String { message }
}
