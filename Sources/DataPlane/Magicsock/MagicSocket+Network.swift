// SPDX-License-Identifier: Apache-2.0

public import Addressing
public import DERP
import Keys
public import Timing

/// This node's place in the network: its endpoints, its home relay, and when to look again.
extension MagicSocket {
  /// Why our endpoints are looked at.
  public enum RefreshReason: Hashable, Sendable {
    /// Somebody asked.
    case asked
    /// A peer is to be called and our endpoints are old.
    case callMeMaybe
    /// There was a peer for the first time.
    case peersAppeared
    /// Time passed.
    case periodic
    /// The links or addresses changed.
    case networkChanged
    /// The relays changed.
    case relayMapChanged
    /// The connection to a relay broke.
    case relayFailed
    /// The administrator gave other endpoints.
    case staticEndpointsChanged
  }

  // MARK: Events

  /// Takes note of how this node is attached to the network now; call it at the start, too.
  ///
  /// - Parameters:
  ///   - network: The attachment.
  ///   - isMajor: Whether the paths that were found are void: another default route or address, new
  ///     sockets, or a long sleep.
  ///   - now: Now.
  ///   - effects: What to do.
  public mutating func networkChanged(
    to network: LocalNetwork,
    isMajor: Bool,
    at now: Instant,
    into effects: inout Effects
  ) {
    let isFirst = self.network == nil
    self.network = network
    if isMajor || isFirst {
      ownEndpoints.forget()
      relayAddresses.forget()
      home.forgetMeasurements()
      netcheck = nil
    }
    publishEndpoints(nil, at: now, into: &effects)
    guard network.isUp else {
      netcheck = nil
      return
    }
    if isMajor { restartPaths(at: now, into: &effects) }
    refresh(.networkChanged, full: isMajor || isFirst, at: now, into: &effects)
  }

  /// Takes note of the endpoint that a gateway forwards to us; nil for none.
  ///
  /// It is told to others unless it is private and no STUN server has seen us at its address.
  public mutating func portMapped(
    to endpoint: Endpoint?,
    at now: Instant,
    into effects: inout Effects
  ) {
    guard ownEndpoints.portMapped != endpoint else { return }
    ownEndpoints.portMapped = endpoint
    publishEndpoints(nil, at: now, into: &effects)
    tellFollowers(into: &effects)
  }

  private mutating func restartPaths(at now: Instant, into effects: inout Effects) {
    finder.removeAll()
    for slot in table.peers.indices where !table.peers[slot].isPlain {
      table.peers[slot].networkChanged(at: now, into: &effects)
      guard table.peers[slot].isActive(at: now),
        table.peers[slot].discover(at: now, with: &sealer, into: &effects)
      else { continue }
      schedule(slot, at: now)
      call(table.peers[slot].id, at: now, into: &effects)
      seekRelay(slot, at: now, into: &effects)
    }
  }

  /// Takes note that the host cannot send to `endpoint`: no route, or it refuses.
  public mutating func noteUnreachable(
    _ endpoint: Endpoint,
    at now: Instant,
    into effects: inout Effects
  ) {
    for slot in table.peers.indices where table.peers[slot].best?.endpoint == endpoint {
      table.peers[slot].noteUnreachable(endpoint, into: &effects)
    }
  }

  /// Begins a netcheck because somebody asks; its report comes as an effect.
  public mutating func startNetcheck(
    full: Bool,
    at now: Instant,
    into effects: inout Effects
  ) {
    refresh(.asked, full: full, at: now, into: &effects)
  }

  /// Takes the addresses that the driver found for a name of `resolutions`; none if it failed.
  public mutating func resolved(
    _ name: String,
    to addresses: [IPAddress],
    at now: Instant,
    into effects: inout Effects
  ) {
    relayAddresses.learn(name, addresses, at: now)
    advanceNetcheck(at: now, into: &effects)
  }

  /// Takes how a request of `httpsProbes` ended.
  ///
  /// - Parameters:
  ///   - id: The netcheck of the request.
  ///   - region: That of the request.
  ///   - latency: How long the request took; nil when it failed.
  ///   - family: By which family it was connected.
  ///   - isByICMP: Whether that is how long an ICMP echo took.
  ///   - now: Now.
  ///   - effects: What to do.
  public mutating func httpsProbeFinished(
    netcheck id: UInt64,
    region: RegionID,
    latency: Duration?,
    over family: IPAddress.Family,
    isByICMP: Bool = false,
    at now: Instant,
    into effects: inout Effects
  ) {
    guard netcheck?.report.id == id else { return }
    netcheck?.receive(httpsLatency: latency, of: region, over: family, isByICMP: isByICMP)
    advanceNetcheck(at: now, into: &effects)
  }

  /// Takes how a look of `portalProbes` ended: whether a portal answers in the relays' place; nil when
  /// nobody answered.
  public mutating func portalProbeFinished(
    netcheck id: UInt64,
    isCaptive: Bool?,
    at now: Instant,
    into effects: inout Effects
  ) {
    guard netcheck?.report.id == id else { return }
    netcheck?.receive(isCaptive: isCaptive)
    advanceNetcheck(at: now, into: &effects)
  }

  // MARK: Looking

  /// Looks at the network: now, or after the look that is under way.
  mutating func refresh(
    _ reason: RefreshReason,
    full: Bool,
    at now: Instant,
    into effects: inout Effects
  ) {
    guard role != .follower else { return ask(reason, at: now, into: &effects) }
    guard let network, network.isUp else { return }
    guard reason == .asked || !relayMap.regions.isEmpty else {
      return finishWithoutRelays(at: now, into: &effects)
    }
    guard netcheck == nil else {
      if reason != .periodic, reason != .callMeMaybe {
        refreshNext = (reason, full || refreshNext?.full == true)
      }
      return
    }
    netcheckCount += 1
    let plan = plan(full: full, on: network, at: now)
    if plan.isFull { lastFullNetcheck = now }
    effects.traces.append(.netcheckStarted(full: plan.isFull, because: reason))
    netcheck = NetcheckRun(id: netcheckCount, plan: plan, at: now)
    advanceNetcheck(at: now, into: &effects)
  }

  /// There is nobody to ask: what the host knows of itself is all there is.
  private mutating func finishWithoutRelays(at now: Instant, into effects: inout Effects) {
    let nothing = NetcheckReport(id: netcheckCount, isFull: false)
    publishEndpoints(nothing, at: now, into: &effects)
    tellFollowers(into: &effects)
    sendPendingCalls(into: &effects)
  }

  private func plan(full: Bool, on network: LocalNetwork, at now: Instant) -> ProbePlan {
    let families = Set(OwnEndpoints.local(network).map(\.address.family))
    let isFullDue = lastFullNetcheck.map { now - $0 >= .seconds(300) } ?? true
    guard !full, !isFullDue, let lastReport, !lastReport.latency.isEmpty else {
      return ProbePlan(full: relayMap, families: families)
    }
    return ProbePlan(after: lastReport, map: relayMap, home: home.home, families: families)
  }

  /// Lets the netcheck go on, and takes its results as they become final.
  mutating func advanceNetcheck(at now: Instant, into effects: inout Effects) {
    guard let phase = netcheck?.phase else { return }
    netcheck?.advance(
      at: now,
      map: relayMap,
      addresses: &relayAddresses,
      entropy: &sealer.entropy,
      into: &effects
    )
    let isPreview = netcheck?.takePreview(at: now) == true
    guard let run = netcheck else { return }
    if isPreview || phase == .stun && run.phase != .stun {
      publishEndpoints(run.report, at: now, into: &effects)
      tellFollowers(into: &effects)
      sendPendingCalls(into: &effects)
    }
    // Who answers first is near: a first home need not wait for relays that do not answer at all.
    if isPreview, home.home == nil { chooseHome(after: run, at: now, into: &effects) }
    if run.phase == .finished { finish(run, at: now, into: &effects) }
  }

  private mutating func finish(
    _ run: NetcheckRun,
    at now: Instant,
    into effects: inout Effects
  ) {
    var run = run
    netcheck = nil
    chooseHome(after: run, at: now, into: &effects)
    let hasIPv6 = network.map { OwnEndpoints.local($0).contains { !$0.address.isV4 } } ?? false
    let report = run.complete(home: home.home, hostHasIPv6: hasIPv6)
    lastReport = report
    effects.netcheckReports.append(report)
    refreshAt = nil
    startRefreshTimer(at: now)
    guard let next = refreshNext else { return }
    refreshNext = nil
    refresh(next.reason, full: next.full, at: now, into: &effects)
  }

  private mutating func chooseHome(
    after run: NetcheckRun,
    at now: Instant,
    into effects: inout Effects
  ) {
    guard fixedHomeRegion == nil else { return }
    let (map, key, mayChange) = (relayMap, sealer.nodeKey, isControlConnected)
    setHome(into: &effects) {
      $0.choose(
        after: run.report,
        map: map,
        nodeKey: key,
        mayChange: mayChange,
        since: run.startedAt,
        at: now
      )
    }
  }

  mutating func setHome(into effects: inout Effects, _ change: (inout HomeChoice) -> Void) {
    let old = home.home
    change(&home)
    if home.home != old { effects.homeRelayChanged.append(home.home) }
  }

  mutating func publishEndpoints(
    _ report: NetcheckReport?,
    at now: Instant,
    into effects: inout Effects
  ) {
    guard let network, role != .follower else { return }
    guard ownEndpoints.refresh(network, report, explicit: staticEndpoints, at: now) else { return }
    effects.endpointsChanged.append(ownEndpoints.current)
  }

  // MARK: Time

  /// Looks again after a while, as long as there are peers and traffic.
  mutating func startRefreshTimer(at now: Instant) {
    guard refreshAt == nil, netcheck == nil, mayRefresh(at: now) else { return }
    if lastReport?.captivePortal == true {
      refreshAt = now + PathTiming.portalRefresh
      return
    }
    let milliseconds = Int.random(
      in: PathTiming.endpointRefresh.least...PathTiming.endpointRefresh.most,
      using: &sealer.entropy
    )
    refreshAt = now + .milliseconds(milliseconds)
  }

  mutating func handleRefreshTimer(at now: Instant, into effects: inout Effects) {
    guard let due = refreshAt, due <= now else { return }
    refreshAt = nil
    guard mayRefresh(at: now) else { return }
    refresh(.periodic, full: false, at: now, into: &effects)
  }

  private func mayRefresh(at now: Instant) -> Bool {
    guard let network, network.isUp else { return false }
    // Somebody will sign in at the portal, and the links do not change by that.
    if lastReport?.captivePortal == true { return true }
    guard let lastActivity, !table.peers.isEmpty || role == .leader
    else { return false }
    return now - lastActivity <= PathTiming.session
  }
}
