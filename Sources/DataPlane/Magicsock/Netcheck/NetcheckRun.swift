// SPDX-License-Identifier: Apache-2.0

import Addressing
import Cryptography
import DERP
import STUN
import Timing

/// One look at the network: asks STUN servers, and by other means when no UDP comes back.
struct NetcheckRun: Sendable {
  /// How far it is.
  enum Phase: Hashable, Sendable {
    case stun
    case https(waiting: Set<RegionID>, isPortalAwaited: Bool)
    case finished
  }

  private struct Series: Sendable {
    var plan: ProbePlan.Series
    var next = 0
    var isDone = false
    /// Whether the next request has no address yet: a lookup is under way.
    var isWaitingForName = false

    var isWaitingForTime: Bool {
      !isDone && !isWaitingForName && next < plan.probes.count
    }
  }

  private struct Request: Sendable {
    var transaction: TransactionID
    var series: Int
    var server: Endpoint
    var sentAt: Instant
  }

  static let overallLimit = Duration.seconds(5)
  static let stunLimit = Duration.seconds(3)
  private static let enoughRegions = 3
  /// The most relays that are asked for an empty page.
  private static let portalProbes = 5
  private static let leastGrace = Duration.milliseconds(100)

  let startedAt: Instant
  private(set) var report: NetcheckReport
  private(set) var phase = Phase.stun
  private var series: [Series]
  private var requests: [Request] = []
  private var stopAt: Instant?
  /// When the endpoints seen so far are told, without waiting for slow or dead relays.
  private var previewAt: Instant?
  private var wasPreviewed = false
  private var firstV4: (endpoint: Endpoint, server: Endpoint)?

  init(id: UInt64, plan: ProbePlan, at now: Instant) {
    startedAt = now
    report = NetcheckReport(id: id, isFull: plan.isFull)
    series = plan.series.map { Series(plan: $0) }
  }

  /// When `advance` wants to be called.
  var nextTimeout: Instant? {
    switch phase {
    case .finished: nil
    case .https: startedAt + Self.overallLimit
    case .stun:
      series.lazy.filter(\.isWaitingForTime)
        .map { startedAt + $0.plan.probes[$0.next].delay }
        .reduce(earliestEnd) { min($0, $1) }
    }
  }

  private var earliestEnd: Instant {
    let preview = wasPreviewed ? nil : previewAt
    return min(
      stopAt ?? .distantFuture,
      preview ?? .distantFuture,
      startedAt + Self.stunLimit
    )
  }

  /// Whether it is time to use what was seen so far: true once, soon after the first answer.
  mutating func takePreview(at now: Instant) -> Bool {
    guard phase == .stun, !wasPreviewed, let previewAt, previewAt <= now else { return false }
    wasPreviewed = true
    return true
  }

  /// Sends the requests that are due and ends the phase when there is no more to wait for.
  mutating func advance(
    at now: Instant,
    map: RelayMap,
    addresses: inout RelayAddresses,
    entropy: inout Entropy,
    into effects: inout Effects
  ) {
    if phase == .stun {
      for index in series.indices {
        advance(index, at: now, addresses: &addresses, entropy: &entropy, into: &effects)
      }
      let isOver = now >= stopAt ?? .distantFuture || now >= startedAt + Self.stunLimit
      guard isOver || series.allSatisfy(\.isDone) else { return }
      finishSTUN(at: now, map: map, into: &effects)
    }
    if case .https(let waiting, let isPortalAwaited) = phase,
      waiting.isEmpty && !isPortalAwaited || now >= startedAt + Self.overallLimit
    {
      phase = .finished
    }
  }

  // MARK: STUN

  private mutating func advance(
    _ index: Int,
    at now: Instant,
    addresses: inout RelayAddresses,
    entropy: inout Entropy,
    into effects: inout Effects
  ) {
    while !series[index].isDone, series[index].next < series[index].plan.probes.count {
      let plan = series[index].plan
      let probe = plan.probes[series[index].next]
      guard startedAt + probe.delay <= now else { return }
      guard wouldHelp(plan) else {
        series[index].isDone = true
        return
      }
      switch addresses.endpoint(of: probe.node, plan.family, at: now) {
      case .known(let server):
        send(to: server, series: index, at: now, entropy: &entropy, into: &effects)
      case .waiting(let name, let isNew):
        if isNew { effects.resolutions.append(name) }
        series[index].isWaitingForName = true
        return
      case .none: break
      }
      series[index].isWaitingForName = false
      series[index].next += 1
    }
    guard !series[index].isDone, !requests.contains(where: { $0.series == index }) else { return }
    series[index].isDone = true
  }

  private mutating func send(
    to server: Endpoint,
    series index: Int,
    at now: Instant,
    entropy: inout Entropy,
    into effects: inout Effects
  ) {
    let request = BindingRequest(transaction: TransactionID(using: &entropy))
    requests.append(
      Request(
        transaction: request.transaction,
        series: index,
        server: server,
        sentAt: now
      )
    )
    if server.address.isV4 { report.ipv4CanSend = true } else { report.ipv6CanSend = true }
    effects.send(request.bytes, to: .direct(server))
  }

  /// Whether an answer could tell anything new.
  private func wouldHelp(_ plan: ProbePlan.Series) -> Bool {
    if report.latency[plan.region] == nil { return true }
    return plan.family == .v6
      ? report.latencyV6.isEmpty : report.mappingVariesByDestination == nil
  }

  /// Takes an answer of a STUN server.
  ///
  /// - Returns: Whether it answers a request of this run.
  mutating func receive(_ response: BindingResponse, at now: Instant) -> Bool {
    guard phase == .stun,
      let index = requests.firstIndex(where: { $0.transaction == response.transaction })
    else { return false }
    let request = requests.remove(at: index)
    let plan = series[request.series].plan
    let latency = now - request.sentAt
    series[request.series].isDone = true
    report.udp = true
    report.noteLatency(latency, of: plan.region, plan.family)
    report.noteSighting(of: response.endpoint)
    if response.endpoint.address.isV4 { compare(response.endpoint, seenBy: request.server) }
    previewAt = previewAt ?? now + Self.leastGrace
    armStop(at: now)
    return true
  }

  /// Learns whether our NAT gives one port to all, from answers of different servers.
  private mutating func compare(_ endpoint: Endpoint, seenBy server: Endpoint) {
    guard let first = firstV4 else {
      firstV4 = (endpoint, server)
      return
    }
    if first.endpoint != endpoint {
      report.mappingVariesByDestination = true
    } else if first.server.address != server.address, report.mappingVariesByDestination == nil {
      report.mappingVariesByDestination = false
    }
  }

  /// Once enough regions answered, the others get no more time than the slowest of these took.
  private mutating func armStop(at now: Instant) {
    guard stopAt == nil else { return }
    let regions = Set(series.map(\.plan.region)).count
    guard report.latency.count >= min(Self.enoughRegions, regions) else { return }
    let slowest = report.latency.values.max() ?? .zero
    stopAt = now + max(report.isFull ? slowest * 2 : slowest, Self.leastGrace)
  }

  // MARK: HTTPS

  private mutating func finishSTUN(at now: Instant, map: RelayMap, into effects: inout Effects) {
    requests.removeAll()
    guard !report.udp, !series.isEmpty else {
      phase = .finished
      return
    }
    var waiting: Set<RegionID> = []
    for region in map.regions.values.sorted(by: { $0.id < $1.id })
    where !region.avoid && !region.noMeasureNoHome {
      guard let node = region.nodes.first(where: { !$0.stunOnly }) else { continue }
      waiting.insert(region.id)
      effects.httpsProbes.append(
        .init(
          netcheck: report.id,
          region: region.id,
          node: node,
          timeout: startedAt + Self.overallLimit - now
        )
      )
    }
    let portal = portalProbe(of: map, at: now)
    if let portal { effects.portalProbes.append(portal) }
    phase = .https(waiting: waiting, isPortalAwaited: portal != nil)
  }

  /// Relays that answer plain HTTP are asked whether they are who answers.
  private func portalProbe(of map: RelayMap, at now: Instant) -> Effects.PortalProbe? {
    let nodes = map.regions.values.sorted { $0.id < $1.id }
      .filter { !$0.avoid && !$0.noMeasureNoHome }.flatMap(\.nodes)
      .filter { $0.canPort80 && IPAddress($0.ipv4)?.isV4 == true }
    guard !nodes.isEmpty else { return nil }
    return Effects.PortalProbe(
      netcheck: report.id,
      nodes: Array(nodes.prefix(Self.portalProbes)),
      timeout: startedAt + Self.overallLimit - now
    )
  }

  /// Takes how the timing of a relay ended: how long it took, by what family and means, or nil.
  mutating func receive(
    httpsLatency latency: Duration?,
    of region: RegionID,
    over family: IPAddress.Family,
    isByICMP: Bool = false
  ) {
    guard case .https(var waiting, let isPortalAwaited) = phase, waiting.remove(region) != nil
    else { return }
    phase = .https(waiting: waiting, isPortalAwaited: isPortalAwaited)
    guard let latency else { return }
    report.latency[region] = latency
    if isByICMP { report.icmpV4 = true }
    if family == .v4 { report.ipv4 = true } else { report.ipv6 = true }
  }

  /// Takes whether a portal answers in the relays' place; nil when nobody did.
  mutating func receive(isCaptive: Bool?) {
    guard case .https(let waiting, true) = phase else { return }
    phase = .https(waiting: waiting, isPortalAwaited: false)
    report.captivePortal = isCaptive
  }

  /// Names the home and the host's families in the report.
  mutating func complete(home: RegionID?, hostHasIPv6: Bool) -> NetcheckReport {
    report.homeRegion = home
    report.hostHasIPv6 = hostHasIPv6
    return report
  }
}

extension NetcheckReport {
  fileprivate mutating func noteLatency(
    _ latency: Duration,
    of region: RegionID,
    _ family: IPAddress.Family
  ) {
    self.latency[region] = min(self.latency[region] ?? latency, latency)
    if family == .v4 {
      ipv4 = true
      latencyV4[region] = min(latencyV4[region] ?? latency, latency)
    } else {
      ipv6 = true
      latencyV6[region] = min(latencyV6[region] ?? latency, latency)
    }
  }

  fileprivate mutating func noteSighting(of endpoint: Endpoint) {
    if endpoint.address.isV4 {
      globalV4 = globalV4 ?? endpoint
    } else {
      globalV6 = globalV6 ?? endpoint
    }
    if let index = sightings.firstIndex(where: { $0.endpoint == endpoint }) {
      sightings[index].count += 1
    } else {
      sightings.append(Sighting(endpoint: endpoint, count: 1))
    }
  }
}
