// SPDX-License-Identifier: Apache-2.0

package import Addressing
package import Timing

/// Which services does the gateway offer, and is the mapping still there?
extension PortMapper {
  /// A look at what the gateway offers.
  struct Probe: Sendable {
    var startedAt: Instant
    var rounds = 0
    var answered: Set<MappingService> = []

    /// When it goes on.
    var next: Instant {
      startedAt
        + (rounds < PortMapperTiming.probeRounds.count
          ? PortMapperTiming.probeRounds[rounds] : PortMapperTiming.probeLength)
    }
  }

  /// A question whether the mapping stands.
  struct Check: Sendable {
    var deadline: Instant
    /// The request over HTTP, where that is the way.
    var request: UInt64?
  }

  static let serverPort: UInt16 = 5351

  var server: Endpoint? { attachment.map { Endpoint($0.gateway, port: Self.serverPort) } }

  /// Looks for the services of the gateway; `findings` tells when that has ended.
  package mutating func look(at now: Instant, into effects: inout PortMapperEffects) {
    guard attachment != nil else { return effects.findings.append(services(at: now)) }
    guard probe == nil else { return }
    probe = Probe(startedAt: now)
    devices.removeAll()
    advanceProbe(at: now, into: &effects)
  }

  mutating func advanceProbe(at now: Instant, into effects: inout PortMapperEffects) {
    while let current = probe, current.next <= now {
      guard current.rounds < PortMapperTiming.probeRounds.count else {
        return endProbe(at: now, into: &effects)
      }
      ask(except: current.answered, into: &effects)
      probe?.rounds += 1
    }
  }

  private func ask(except answered: Set<MappingService>, into effects: inout PortMapperEffects) {
    guard let attachment, let server else { return }
    let open = allowed.subtracting(answered)
    if open.contains(.pcp) {
      effects.send(PCPRequest.announce(client: attachment.own).bytes, to: server)
    }
    if open.contains(.pmp) { effects.send(NATPMPRequest.externalAddress.bytes, to: server) }
    guard open.contains(.upnp) else { return }
    effects.send(SSDPSearch.all, to: Endpoint(attachment.gateway, port: SSDPSearch.group.port))
    effects.send(SSDPSearch.all, to: SSDPSearch.group)
    effects.send(SSDPSearch.gateways, to: SSDPSearch.group)
  }

  private mutating func endProbe(at now: Instant, into effects: inout PortMapperEffects) {
    guard let ended = probe else { return }
    probe = nil
    // A service that does not answer any more is gone.
    for service in allowed.subtracting(ended.answered) { seen[service] = nil }
    effects.findings.append(services(at: now))
    guard isWanted, grant == nil, attempt == nil, beginAt == nil else { return }
    if ended.answered.isEmpty {
      let looks = PortMapperTiming.looks
      lookAt = now + looks[min(fruitlessLooks, looks.count - 1)]
      fruitlessLooks += 1
    } else {
      beginAt = now + Self.delay(PortMapperTiming.retries, after: failures)
    }
  }

  static func delay(_ steps: [Duration], after failures: Int) -> Duration {
    failures == 0 ? .zero : steps[min(failures, steps.count) - 1]
  }

  mutating func note(
    _ service: MappingService,
    at now: Instant,
    into effects: inout PortMapperEffects
  ) {
    guard allowed.contains(service) else { return }
    if !isSeen(service, at: now) { effects.notes.append(.found(service)) }
    seen[service] = now
    fruitlessLooks = 0
    guard let probe else { return }
    let isNew = self.probe?.answered.insert(service).inserted == true
    if isNew, isWanted, grant == nil, attempt == nil, failures == 0 {
      let soon = now + PortMapperTiming.grace
      let later = max(soon, probe.startedAt + PortMapperTiming.patienceBeforeUPnP)
      let at = service == .upnp ? later : soon
      beginAt = min(beginAt ?? at, at)
    }
    // Several devices may answer to UPnP, the best one last.
    if self.probe?.answered == allowed, service != .upnp, !allowed.contains(.upnp) {
      endProbe(at: now, into: &effects)
    }
  }

  // MARK: What comes back

  /// Takes a datagram that came to the socket on our address.
  package mutating func receive(
    _ datagram: [UInt8],
    from source: Endpoint,
    at now: Instant,
    into effects: inout PortMapperEffects
  ) {
    guard let attachment, source.address.unmapped == attachment.gateway else {
      counters.foreign &+= 1
      return
    }
    guard source.port == Self.serverPort else {
      return receiveSearchReply(datagram, at: now, into: &effects)
    }
    switch datagram.first {
    case 0: receivePMP(datagram, at: now, into: &effects)
    case PCPRequest.version: receivePCP(datagram, at: now, into: &effects)
    default: counters.malformed &+= 1
    }
  }

  private mutating func receiveSearchReply(
    _ datagram: [UInt8],
    at now: Instant,
    into effects: inout PortMapperEffects
  ) {
    guard probe != nil, allowed.contains(.upnp) else {
      counters.unsolicited &+= 1
      return
    }
    // Every device of the gateway answers; those that are no Internet gateways are of no interest.
    guard let reply = SSDPReply(parsing: datagram) else {
      if !datagram.starts(with: Array("HTTP/".utf8)) { counters.malformed &+= 1 }
      return
    }
    if let index = devices.firstIndex(where: { $0.location == reply.location }) {
      if SSDPReply.precedes(reply, devices[index]) { devices[index] = reply }
    } else if devices.count < PortMapperLimits.devices {
      devices.append(reply)
    } else {
      counters.excessDevices &+= 1
    }
    devices.sort(by: SSDPReply.precedes)
    note(.upnp, at: now, into: &effects)
  }

  private mutating func receivePMP(
    _ datagram: [UInt8],
    at now: Instant,
    into effects: inout PortMapperEffects
  ) {
    guard allowed.contains(.pmp), let response = try? NATPMPResponse(parsing: datagram) else {
      // An answer that makes no sense is none: what was asked is asked again.
      counters.malformed &+= 1
      return
    }
    let isAsked = probe != nil || check != nil || attempt?.service == .pmp || farewell != nil
    guard isAsked else {
      counters.unsolicited &+= 1
      return
    }
    // A gateway of PCP only says so in the words of NAT-PMP.
    if case .refused(_, result: 1) = response.body { return }
    let isForgotten = pmpEpoch.note(response.epoch, at: now)
    if case .refused(operation: 0, _) = response.body {
    } else {
      note(.pmp, at: now, into: &effects)
    }
    if case .externalAddress(let address) = response.body { pmpAddress = address }
    if attempt?.service == .pmp { return receive(response.body, at: now, into: &effects) }
    if case .mapped(port, _, 0) = response.body { farewell = nil }
    guard let grant, grant.mapping.service == .pmp else { return }
    let isMoved = pmpAddress.map { $0 != grant.mapping.external.address } ?? false
    concludeCheck(isLost: isForgotten || isMoved, at: now, into: &effects)
  }

  private mutating func receivePCP(
    _ datagram: [UInt8],
    at now: Instant,
    into effects: inout PortMapperEffects
  ) {
    guard allowed.contains(.pcp), let response = try? PCPResponse(parsing: datagram) else {
      // As with NAT-PMP.
      counters.malformed &+= 1
      return
    }
    let isAsked = probe != nil || check != nil || attempt?.service == .pcp || farewell != nil
    guard isAsked else {
      counters.unsolicited &+= 1
      return
    }
    // Whoever does not have the nonce may not move the clock by which we notice a restart.
    if case .mapped(let nonce, _, _) = response.body, nonce != attempt?.nonce,
      nonce != farewell?.nonce
    {
      counters.unsolicited &+= 1
      return
    }
    let isForgotten = pcpEpoch.note(response.epoch, at: now)
    if case .announce = response.body { note(.pcp, at: now, into: &effects) }
    if attempt?.service == .pcp { return receive(response, at: now, into: &effects) }
    if case .mapped = response.body, farewell != nil { farewell = nil }
    guard let grant, grant.mapping.service == .pcp else { return }
    concludeCheck(isLost: isForgotten, at: now, into: &effects)
  }

  // MARK: Is it still there?

  /// Asks whether the mapping stands, because somebody looks at the network; not too often.
  package mutating func takeInterest(at now: Instant, into effects: inout PortMapperEffects) {
    guard grant != nil, lastCheck.map({ now - $0 >= PortMapperTiming.leastCheck }) ?? true else {
      return
    }
    startCheck(at: now, into: &effects)
  }

  mutating func startCheck(at now: Instant, into effects: inout PortMapperEffects) {
    checkAt = now + PortMapperTiming.check
    guard let grant, let attachment, let server, attempt == nil, check == nil else { return }
    lastCheck = now
    check = Check(deadline: now + PortMapperTiming.http)
    switch grant.mapping.service {
    case .pcp: effects.send(PCPRequest.announce(client: attachment.own).bytes, to: server)
    case .pmp: effects.send(NATPMPRequest.externalAddress.bytes, to: server)
    case .upnp:
      guard let connection = grant.connection else { return }
      let action = SOAPAction.entry(external: grant.mapping.external.port)
      let id = request(action, of: connection, into: &effects)
      check?.request = id
    }
  }

  mutating func concludeCheck(
    isLost: Bool,
    at now: Instant,
    into effects: inout PortMapperEffects
  ) {
    check = nil
    guard isLost, let grant, attempt == nil else { return }
    effects.notes.append(.forgotten(grant.mapping.service))
    self.grant?.renewAt = now
    begin(at: now, into: &effects)
  }

  /// Takes what a gateway tells all its hosts when it has started (RFC 6886 §3.2.1, RFC 6887 §14.1.3).
  ///
  /// Anybody may have written it: it is a reason to ask, now and then, and no more.
  package mutating func receiveAnnouncement(
    _ datagram: [UInt8],
    from source: Endpoint,
    at now: Instant,
    into effects: inout PortMapperEffects
  ) {
    guard let server, source.address.unmapped == server.address, source.port == server.port else {
      counters.foreign &+= 1
      return
    }
    // Only what one of the two protocols would say is a reason.
    let isPMP = (try? NATPMPResponse(parsing: datagram)) != nil
    guard isPMP || (try? PCPResponse(parsing: datagram)) != nil else {
      counters.malformed &+= 1
      return
    }
    let isRecent = lastAnnouncement.map { now - $0 < PortMapperTiming.leastAnnouncement } ?? false
    guard !isRecent, isWanted else {
      counters.excessAnnouncements &+= 1
      return
    }
    lastAnnouncement = now
    guard attempt == nil else { return }
    guard grant != nil else { return look(at: now, into: &effects) }
    // What was granted may be gone: it is asked for again, and told until that fails.
    grant?.renewAt = now
    begin(at: now, into: &effects)
  }
}
