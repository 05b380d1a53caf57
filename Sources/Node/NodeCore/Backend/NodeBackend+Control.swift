// SPDX-License-Identifier: Apache-2.0

import ControlProtocol
import ControlSession
import DERP
import HostIO
import HostSettings
import Keys
import LocalAPI
import Logging
import Magicsock
import Netmap
import PortMapping
import PortMappingDriver
import Timing

extension NodeBackend {
  /// Starts to talk with the coordination server, in place of any earlier conversation.
  func startClient() {
    stopClient()
    isRefused = false
    do {
      let server = try ServerURL(preferences.controlURL)
      let login = try currentLogin()
      clientCount += 1
      let id = clientCount
      let client = ControlClient(
        to: server,
        as: state.machineKey,
        mark: options.ground.bypassMark.value,
        proxies: options.proxies,
        login: login,
        news: news,
        logger: logger
      ) { [weak self] event in
        await self?.handle(event, from: id)
      }
      controlFailures = 0
      let url = preferences.controlURL
      self.client = RunningClient(
        id: id,
        client: client,
        task: Task { await client.run() },
        controlURL: url
      )
    } catch {
      warn(.loginFailed, "\(error)")
      bus.publish { $0.errorMessage = "\(error)" }
    }
  }

  /// Ends the conversation.
  func stopClient() {
    client?.task.cancel()
    client = nil
    isControlConnected = false
    clear(.controlUnreachable)
  }

  /// The keys to introduce ourselves with; a node key is made, and kept, where there is none.
  private func currentLogin() throws(NodeError) -> ControlLogin {
    if nodeKey == nil {
      try save { state, entropy in
        var preferences = state.preferences
        var identity = preferences.config ?? LoginIdentity()
        identity.privateNodeKey = .generate(using: &entropy)
        identity.networkLockKey = identity.networkLockKey ?? .generate(using: &entropy)
        preferences.config = identity
        state.remember(preferences, using: &entropy)
      }
    }
    guard let identity = preferences.config, let key = identity.privateNodeKey else {
      throw NodeError(.state, "this node has no key")
    }
    return ControlLogin(
      nodeKey: key.publicKey,
      oldNodeKey: identity.oldPrivateNodeKey?.publicKey ?? .zero,
      lockKey: identity.networkLockKey?.publicKey ?? .zero,
      authKey: authKey
    )
  }

  /// Replaces the node's key; the old one is remembered until the server knows the new one.
  func renewNodeKey() throws(NodeError) {
    try save { state, entropy in
      var preferences = state.preferences
      var identity = preferences.config ?? LoginIdentity()
      identity.oldPrivateNodeKey = identity.privateNodeKey ?? identity.oldPrivateNodeKey
      identity.privateNodeKey = .generate(using: &entropy)
      preferences.config = identity
      state.remember(preferences, using: &entropy)
    }
  }

  /// What the coordination server is told of this node.
  var news: NodeReport {
    var info = host.hostinfo(named: preferences.hostname, version: options.version)
    info.requestTags = preferences.advertiseTags ?? []
    info.shieldsUp = preferences.shieldsUp
    info.peerRelay = preferences.relayServerPort != nil
    info.netInfo = netInfo
    return NodeReport(
      nodeKey: nodeKey?.publicKey ?? .zero,
      discoKey: discoKey.publicKey,
      hostinfo: info,
      endpoints: endpoints.map { own in
        ReportedEndpoint(
          own.endpoint,
          ReportedEndpoint.Kind(rawValue: own.kind.rawValue) ?? .unknown
        )
      }
    )
  }

  private var netInfo: NetInfo? {
    guard netcheck != nil || homeRegion != nil else { return nil }
    let services = portMapper.services
    var info = NetInfo()
    info.preferredDERP = homeRegion?.rawValue ?? 0
    info.firewallMode = "none"
    (info.upnp, info.pmp, info.pcp) = (services.upnp, services.pmp, services.pcp)
    info.havePortMap = portMapper.mapping != nil
    guard let netcheck else { return info }
    info.workingUDP = netcheck.udp
    info.workingICMPv4 = netcheck.udp ? nil : netcheck.icmpV4
    info.workingIPv6 = netcheck.ipv6
    info.osHasIPv6 = netcheck.hostHasIPv6
    info.mappingVariesByDestIP = netcheck.mappingVariesByDestination
    for (region, latency) in netcheck.latencyV4 {
      info.derpLatency["\(region.rawValue)-v4"] = latency.inSeconds
    }
    for (region, latency) in netcheck.latencyV6 {
      info.derpLatency["\(region.rawValue)-v6"] = latency.inSeconds
    }
    return info
  }

  /// Tells the coordination server what is new of this node.
  func tellNews() {
    guard let client = client?.client else { return }
    let news = news
    Task { await client.tell(news) }
  }

  /// Takes in what the client of that number tells; those of earlier clients are stale.
  func handle(_ event: ControlEvent, from id: Int) async {
    guard client?.id == id else { return }
    switch event {
    case .openPage(let url):
      authURL = url
      // Whoever must log in anew is not on the network any more.
      forgetNetmap()
      logger.notice("a person must log this node in", metadata: ["url": "\(url)"])
      updateState()
      scheduleReconfigure()
      if isPageWanted { bus.publish { $0.browseToURL = url } }
    case .registered(let user): didRegister(user)
    case .keyExpired: keyRanOut()
    case .refused(let reason): wasRefused(reason)
    case .map(let response, let isFirst): await take(response, isFirst: isFirst)
    case .listening(let isListening): await noteListening(isListening)
    case .unreachable(let reason):
      controlFailures += 1
      guard controlFailures > 1 else { break }
      warn(
        .controlUnreachable,
        "The coordination server \(preferences.controlURL) is not reached: \(reason). "
          + "Connections that stand go on; changes of the network are not heard of."
      )
    }
  }

  private func didRegister(_ user: UserProfile) {
    (authURL, authKey, isPageWanted) = ("", "", false)
    clear(.loginFailed)
    do {
      try save { state, entropy in
        var preferences = state.preferences
        var identity = preferences.config ?? LoginIdentity()
        identity.oldPrivateNodeKey = nil
        identity.userProfile = user
        preferences.config = identity
        state.remember(preferences, using: &entropy)
      }
    } catch {
      logger.error("\(error)")
    }
    bus.publish { $0.loginFinished = Empty() }
    updateState()
  }

  private func keyRanOut() {
    logger.notice("this node's key has run out; another is made")
    do {
      try renewNodeKey()
      startClient()
    } catch {
      warn(.loginFailed, "\(error)")
    }
  }

  private func wasRefused(_ reason: String) {
    logger.error("the coordination server refuses the login", metadata: ["why": "\(reason)"])
    (authKey, authURL, isPageWanted) = ("", "", false)
    stopClient()
    isRefused = true
    forgetNetmap()
    scheduleReconfigure()
    warn(.loginFailed, "The coordination server refuses the login: \(reason)")
    bus.publish { $0.errorMessage = reason }
    updateState()
  }

  private func noteListening(_ isListening: Bool) async {
    guard isControlConnected != isListening else { return }
    isControlConnected = isListening
    if isListening {
      controlFailures = 0
      clear(.controlUnreachable)
      await renewDiscoKey()
    }
    scheduleReconfigure()
  }

  /// Makes the netmap what the server says.
  private func take(_ response: MapResponse, isFirst: Bool) async {
    let isKnown = netmap != nil
    var map = netmap ?? NetworkMap()
    // Held once only, so that a change costs what it changes and no copy of all peers.
    netmap = nil
    if isFirst { map.beginStream() }
    let change = map.apply(response, at: wallClock())
    for problem in change.problems {
      logger.warning("a part of the netmap makes no sense", metadata: ["what": "\(problem)"])
    }
    netmap = map
    if change.selfChanged { noteSelf(map) }
    noteExpiry(of: map)
    updateState()
    if isFirst || change.isStructural {
      scheduleReconfigure()
      rememberMapSoon()
    }
    publish(change, of: map, isFirst: isFirst || !isKnown)
  }

  /// Keeps the node's ID with the login.
  private func noteSelf(_ map: NetworkMap) {
    guard let own = map.selfNode, preferences.config?.nodeID != own.stableID else { return }
    do {
      try save { state, entropy in
        var preferences = state.preferences
        preferences.config?.nodeID = own.stableID
        state.remember(preferences, using: &entropy)
      }
    } catch {
      logger.error("\(error)")
    }
  }

  private func publish(_ change: NetmapChange, of map: NetworkMap, isFirst: Bool) {
    guard bus.isWatched, !change.isEmpty else { return }
    bus.publish { message in
      if change.selfChanged { message.selfChange = map.selfNode }
      if isFirst || change.isStructural { message.netmap = map.localValue }
      guard !isFirst else { return }
      let changed = change.peersChanged.union(change.peersSeen)
      if !changed.isEmpty {
        message.peersChanged = changed.sorted().compactMap { map.peersByID[$0] }
      }
      if !change.peersRemoved.isEmpty { message.peersRemoved = change.peersRemoved.sorted() }
      if change.usersChanged { message.userProfiles = map.userProfiles }
    }
  }
}

extension NetmapChange {
  /// Whether anything changed that the data plane or the host must know.
  var isStructural: Bool {
    selfChanged || !peersChanged.isEmpty || !peersRemoved.isEmpty || filterChanged
      || relaysChanged || dnsChanged || domainChanged
  }
}
