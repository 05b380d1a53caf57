// SPDX-License-Identifier: Apache-2.0

import Addressing
import ControlProtocol
import Cryptography
import DERP
import DataPlaneDriver
import HostConfiguration
import HostIO
import HostSettings
import Keys
import LocalAPI
package import Logging
import Magicsock
import Netmap
import NodeConfiguration
import PortMapping
import PortMappingDriver
import Timing

/// A running node: the one place that knows what should be true and has it made true.
///
/// It owns the state on disk, the conversation with the coordination server, the data plane and the
/// host's routes. What follows from what is decided by pure functions (`NodeConfiguration`,
/// `LoginFacts`); the actor only remembers, asks and passes on.
package actor NodeBackend {
  /// The name of the state file.
  static let stateFile = "martletd.state"

  let options: NodeOptions
  let logger: Logger
  let store: StateStore
  let lock: InstanceLock
  let groundLock: GroundLock
  let host = HostDescription.current()
  let plane: DataPlane
  let links: LinkMonitor
  let portMapper: PortMapperDriver
  var discoKey: DiscoPrivateKey
  /// Whether that is the key of the last run.
  var isDiscoKeyOld = false
  /// Writes the netmap to disk after a while.
  var mapWriter: Task<Void, Never>?

  /// Stands in for the node key while there is none.
  let idleKey: NodePrivateKey
  var entropy = Entropy.system
  var router: HostRouter
  var state: NodeState
  var backendState = BackendState.noState
  var bus: NotificationBus
  var health: HealthTracker

  var client: RunningClient?
  var clientCount = 0
  var authKey = ""
  var authURL = ""
  var isPageWanted = false
  /// Whether the server has turned the last login down.
  var isRefused = false
  var isControlConnected = false
  var controlFailures = 0

  var netmap: NetworkMap?
  var endpoints: [OwnEndpoint] = []
  var netcheck: Magicsock.NetcheckReport?
  var homeRegion: RegionID?
  /// What the port mapper did lately, for people.
  var portMappingEvents: [String] = []
  var liveRelays: Set<RegionID> = []
  var hasPeerAnswered = false

  var isReconfiguring = false
  var needsReconfiguring = false
  var appliedRouter: RouterSettings?
  /// Whether others may have removed some of what was applied.
  var isGroundDisturbed = false
  /// What was last said of how forwarded packets could cost less.
  var forwardingHints: ForwardingHints?
  var expiryTimer: Task<Void, Never>?
  var tasks: [Task<Void, Never>] = []

  /// A client, and the number that tells its events from those of its predecessors.
  struct RunningClient {
    var id: Int
    var client: ControlClient
    var task: Task<Void, Never>
    var controlURL: String
  }

  /// Opens everything a node needs and starts it as it was when it ended.
  ///
  /// - Throws: `HostError` that says what is in the way: another daemon, no privilege, no TUN.
  package static func start(_ options: NodeOptions, logger: Logger) async throws -> NodeBackend {
    let backend = try NodeBackend(options, logger: logger)
    try await backend.begin()
    return backend
  }

  private init(_ options: NodeOptions, logger: Logger) throws {
    let store = try StateStore(directory: options.stateDirectory)
    let lock = try InstanceLock(store)
    var entropy = Entropy.system
    var health = HealthTracker()
    var state = try Self.load(store, &entropy, &health, logger)
    let remembered = Self.rememberedMap(store, state, logger)
    let known = remembered == nil ? nil : state.discoKey
    let discoKey = known ?? DiscoPrivateKey.generate(using: &entropy)
    if state.discoKey != discoKey {
      state.discoKey = discoKey
      try store.write(Self.stateFile, state.encoded)
    }
    let idleKey = NodePrivateKey.generate(using: &entropy)
    var wanted = DataPlaneOptions(
      interfaceName: options.interfaceName,
      nodeKey: state.preferences.config?.privateNodeKey ?? idleKey,
      discoKey: discoKey
    )
    wanted.port = options.port
    wanted.isPortRequired = options.isPortRequired
    wanted.mark = options.ground.bypassMark.value
    wanted.mtu = options.mtu
    wanted.proxies = options.proxies
    wanted.shards =
      options.shards ?? DataPlaneOptions.defaultShards(cores: DataThread.processors)
    wanted.helpers =
      options.helpers ?? DataPlaneOptions.defaultHelpers(cores: DataThread.processors)
    wanted.backend = try Self.cipher(options.cipher, logger)
    let plane = try DataPlane(wanted, logger: logger)
    if plane.isPortSubstituted {
      let text = "UDP port \(options.port) is in use; this node uses \(plane.port) instead."
      health.warn(.portTaken, text, at: wallClock())
    }
    groundLock = try GroundLock(options.ground)
    router = try HostRouter()
    links = try LinkMonitor(ownInterface: options.interfaceName, ground: options.ground)
    portMapper = try PortMapperDriver(
      allowed: options.portMapping,
      mark: options.ground.bypassMark.value
    )
    (self.options, self.logger, self.store) = (options, logger, store)
    self.lock = lock
    bus = NotificationBus(version: options.version)
    (self.state, self.health, self.plane) = (state, health, plane)
    (self.discoKey, self.idleKey) = (discoKey, idleKey)
    isDiscoKeyOld = known != nil
    netmap = remembered
  }

  /// What packets are sealed with; why it is not the fastest, the log says.
  private static func cipher(
    _ wanted: PacketBackend.Name?,
    _ logger: Logger
  ) throws(HostError) -> PacketBackend {
    let choice = try PacketBackendChoice.onThisHost(wanting: wanted)
    var metadata: Logger.Metadata = ["cipher": "\(choice.backend.name.rawValue)"]
    if let shortcoming = choice.shortcoming, let refusal = shortcoming.refusal {
      metadata["\(shortcoming.name.rawValue)"] = "\(refusal)"
    }
    if let wanted, choice.backend.name != wanted {
      logger.warning(
        "the cipher that was asked for cannot be used; see 'martlet debug crypto'",
        metadata: ["asked": "\(wanted.rawValue)"]
      )
    }
    logger.info("packets are sealed", metadata: metadata)
    return choice.backend
  }

  private static func load(
    _ store: StateStore,
    _ entropy: inout Entropy,
    _ health: inout HealthTracker,
    _ logger: Logger
  ) throws -> NodeState {
    var drawn = entropy
    let loaded = try store.load(stateFile) { try NodeState(parsing: $0, using: &drawn) }
    entropy = drawn
    switch loaded {
    case .value(let state): return state
    case .absent: break
    case .setAside(let path, let reason):
      let text = "The state file was corrupted (\(reason)). It is kept as \(path); log in again."
      logger.error("\(text)")
      health.warn(.stateSetAside, text, at: wallClock())
    }
    let fresh = NodeState(using: &entropy)
    try store.write(stateFile, fresh.encoded)
    return fresh
  }

  private func begin() async throws {
    try plane.start()
    if !options.portMapping.isEmpty { try portMapper.start() }
    tasks = [
      Task { [weak self, events = plane.events] in
        for await event in events { await self?.handle(event) }
      },
      Task { [weak self, changes = links.changes] in
        for await change in changes { await self?.handle(change) }
      },
      Task { [weak self, events = portMapper.events] in
        for await event in events { await self?.handle(event) }
      },
    ]
    await plane.networkChanged(
      addresses: reachableAddresses(links.facts),
      isMajor: true,
      isUp: Self.isUp(links.facts, except: options.interfaceName)
    )
    attachPortMapper(links.facts)
    if let netmap { noteExpiry(of: netmap) }
    tellForwardingHints(links.facts)
    updateState()
    await reconfigure()
    if wantsControl { startClient() }
  }

  /// Ends everything; routes, rules and the interface go away.
  package func shutdown() async {
    stopClient()
    expiryTimer?.cancel()
    if mapWriter != nil { rememberMap() }
    bus.close()
    links.stop()
    if let appliedRouter {
      do {
        let report = try router.withdraw(appliedRouter)
        for problem in report.problems { logger.warning("\(problem)") }
      } catch {
        logger.warning("\(error)")
      }
    }
    await portMapper.shutdown()
    await plane.shutdown()
    for task in tasks { task.cancel() }
  }

  // MARK: State

  var preferences: Preferences { state.preferences }

  var nodeKey: NodePrivateKey? { preferences.config?.privateNodeKey }

  var wantsControl: Bool {
    preferences.wantRunning && !preferences.loggedOut && !preferences.controlURL.isEmpty
  }

  /// Makes preferences, or the lack of them, survive whatever comes.
  func save(_ change: (inout NodeState, inout Entropy) -> Void) throws(NodeError) {
    var next = state
    change(&next, &entropy)
    guard next != state else { return }
    do {
      try store.write(Self.stateFile, next.encoded)
    } catch {
      throw NodeError(.state, "\(error)", hint: "Nothing was changed.")
    }
    state = next
  }

  /// Works out the state anew, and tells when it is another one.
  func updateState() {
    updatePortMapping()
    let own = netmap?.selfNode
    let now = wallClock()
    var facts = LoginFacts()
    facts.wantsRunning = preferences.wantRunning
    facts.isLoggedOut = preferences.loggedOut
    facts.hasNodeKey = nodeKey != nil
    facts.isAwaitingPerson = !authURL.isEmpty || isRefused
    facts.hasNetmap = own != nil
    facts.isKeyExpired = own.map { netmap?.isExpired($0, at: now) ?? false } ?? false
    facts.isMachineAuthorized = own?.machineAuthorized ?? true
    facts.hasLivePath =
      !liveRelays.isEmpty || hasPeerAnswered || (netmap?.derpMap?.regions ?? [:]).isEmpty
    let next = facts.next(after: backendState)
    guard next != backendState else { return }
    logger.notice("state", metadata: ["from": "\(backendState.name)", "to": "\(next.name)"])
    backendState = next
    bus.publish { $0.state = next }
  }

  func warn(_ trouble: Trouble, _ text: String) {
    if health.warn(trouble, text, at: wallClock()) { tellHealth() }
  }

  func clear(_ trouble: Trouble) {
    if health.clear(trouble) { tellHealth() }
  }

  private func tellHealth() {
    let state = health.state
    bus.publish { $0.health = state }
  }
}
