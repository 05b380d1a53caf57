// SPDX-License-Identifier: Apache-2.0

package import ControlProtocol
package import Timing

extension NetworkMap {
  /// Takes over what a response says, and tells what is different now.
  ///
  /// What a response leaves out stays, except that the first map of a stream says everything. The
  /// cost is that of the change, not that of the network, but for that first map.
  ///
  /// - Parameters:
  ///   - response: The response as it came.
  ///   - now: When it came.
  /// - Returns: What to do something about; empty when everything is as before.
  package mutating func apply(_ response: MapResponse, at now: Timestamp) -> NetmapChange {
    guard awaitsFirstMap, !response.keepAlive, response.node != nil else {
      var change = NetmapChange()
      update(with: response, at: now, noting: &change)
      return change
    }
    var next = NetworkMap()
    next.awaitsFirstMap = false
    next.ignoredChanges = ignoredChanges
    next.controlDialPlan = controlDialPlan
    next.clientVersion = clientVersion
    next.serverClockOffset = serverClockOffset
    var found = NetmapChange()
    next.update(with: response, at: now, noting: &found)
    var change = NetmapChange(from: self, to: next)
    change.takeProblems(of: found)
    self = next
    return change
  }

  /// The parts of a response one after the other.
  private mutating func update(
    with response: MapResponse,
    at now: Timestamp,
    noting change: inout NetmapChange
  ) {
    updateServerFacts(with: response, at: now, noting: &change)
    // A sign of life says nothing of the network.
    guard !response.keepAlive else { return }
    if let node = response.node { updateSelf(node, noting: &change) }
    updatePeers(with: response, at: now, noting: &change)
    updateUsers(with: response, noting: &change)
    updateRelays(with: response, noting: &change)
    updateFilters(with: response, noting: &change)
    updateMessages(with: response, noting: &change)
    updateSettings(with: response, noting: &change)
  }

  private mutating func updateServerFacts(
    with response: MapResponse,
    at now: Timestamp,
    noting change: inout NetmapChange
  ) {
    replace(\.controlDialPlan, with: response.controlDialPlan, noting: &change.settingsChanged)
    replace(\.clientVersion, with: response.clientVersion, noting: &change.settingsChanged)
    guard let theirs = response.controlTime else { return }
    // Messages take their time: only what a minute cannot explain is a clock that is wrong.
    let offset = theirs - now
    let tolerance = Duration.seconds(60)
    guard offset - serverClockOffset > tolerance || serverClockOffset - offset > tolerance
    else { return }
    serverClockOffset = offset > tolerance || offset < .zero - tolerance ? offset : .zero
    change.clockChanged = true
  }

  private mutating func updateUsers(
    with response: MapResponse,
    noting change: inout NetmapChange
  ) {
    for profile in response.userProfiles where userProfiles[profile.id] != profile {
      guard userProfiles[profile.id] != nil || userProfiles.count < Self.maximumUsers else {
        ignore("there are more than \(Self.maximumUsers) user profiles", noting: &change)
        continue
      }
      userProfiles[profile.id] = profile
      change.usersChanged = true
    }
  }

  private mutating func updateRelays(
    with response: MapResponse,
    noting change: inout NetmapChange
  ) {
    guard let update = response.derpMap else { return }
    var merged = derpMap ?? DERPMap()
    merged.merge(update)
    replace(\.derpMap, with: merged, noting: &change.relaysChanged)
  }

  private mutating func updateMessages(
    with response: MapResponse,
    noting change: inout NetmapChange
  ) {
    guard response.health != nil || !response.displayMessages.isEmpty else { return }
    let before = messages
    if let health = response.health {
      self.health = Array(health.prefix(Self.maximumMessages))
      for _ in self.health.count..<health.count {
        ignore("there are more than \(Self.maximumMessages) messages", noting: &change)
      }
    }
    let refused = displayMessages.patch(response.displayMessages, upTo: Self.maximumMessages)
    for _ in 0..<refused {
      ignore("there are more than \(Self.maximumMessages) messages", noting: &change)
    }
    if messages != before { change.messagesChanged = true }
  }

  private mutating func updateSettings(
    with response: MapResponse,
    noting change: inout NetmapChange
  ) {
    replace(\.dnsConfig, with: response.dnsConfig, noting: &change.dnsChanged)
    replace(\.sshPolicy, with: response.sshPolicy, noting: &change.sshPolicyChanged)
    replace(\.tkaInfo, with: response.tkaInfo, noting: &change.lockChanged)
    replace(\.collectServices, with: response.collectServices, noting: &change.settingsChanged)
    replace(\.defaultAutoUpdate, with: response.defaultAutoUpdate, noting: &change.settingsChanged)
    if !response.domain.isEmpty, response.domain != domain {
      domain = response.domain
      change.domainChanged = true
    }
    let log = response.domainDataPlaneAuditLogID
    if !log.isEmpty, log != domainDataPlaneAuditLogID {
      domainDataPlaneAuditLogID = log
      change.settingsChanged = true
    }
  }

  /// Sets what a response tells; nil is unchanged.
  private mutating func replace<Value: Equatable>(
    _ place: WritableKeyPath<NetworkMap, Value?>,
    with value: Value?,
    noting changed: inout Bool
  ) {
    guard let value, self[keyPath: place] != value else { return }
    self[keyPath: place] = value
    changed = true
  }

  /// Counts a change that is not applied, and says why.
  mutating func ignore(
    _ reason: @autoclosure () -> String,
    noting change: inout NetmapChange
  ) {
    ignoredChanges += 1
    change.report(reason())
  }
}

extension NetworkMap {
  /// How many peers there may be.
  package static let maximumPeers = 1 << 17
  /// How many people there may be.
  package static let maximumUsers = 1 << 17
  /// How many sets of rules there may be.
  package static let maximumFilters = 4096
  /// How many messages for people there may be.
  package static let maximumMessages = 256

  private mutating func updateFilters(
    with response: MapResponse,
    noting change: inout NetmapChange
  ) {
    guard response.packetFilter != nil || !response.packetFilters.isEmpty else { return }
    let before = filters
    if let rules = response.packetFilter { filters["base"] = rules }
    let refused = filters.patch(response.packetFilters, upTo: Self.maximumFilters)
    for _ in 0..<refused {
      ignore("there are more than \(Self.maximumFilters) packet filters", noting: &change)
    }
    if !hasFilter || filters != before { change.filterChanged = true }
    hasFilter = true
  }
}

extension Dictionary where Key == String {
  /// Takes over values by name: nil removes one, `*` with nil removes all first.
  ///
  /// - Returns: How many new names were refused because there are `limit` already.
  fileprivate mutating func patch(_ values: [String: Value?], upTo limit: Int) -> Int {
    if case .some(.none) = values["*"] { removeAll() }
    var refused = 0
    for (name, value) in values.sorted(by: { $0.key < $1.key }) {
      guard let value else {
        self[name] = nil
        continue
      }
      if self[name] == nil, count >= limit { refused += 1 } else { self[name] = value }
    }
    return refused
  }
}
