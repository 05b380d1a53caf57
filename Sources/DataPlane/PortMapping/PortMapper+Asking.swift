// SPDX-License-Identifier: Apache-2.0

import Addressing
import Cryptography
import Timing

/// Asking a gateway for the mapping, and for its end.
extension PortMapper {
  /// A request under way.
  struct Attempt: Sendable {
    var service: MappingService
    /// What is tried when it fails.
    var remaining: [MappingService]
    var tries = 0
    var deadline: Instant
    var nonce: [UInt8] = []
    /// Of NAT-PMP: what was granted, while the address outside is not known yet.
    var granted: (port: UInt16, lifetime: UInt32)?
    var step = UPnPStep.idle
    /// The request over HTTP that is waited for.
    var request: UInt64?
  }

  /// The end of a mapping, to be confirmed.
  struct Farewell: Sendable {
    var until: Instant
    var nonce: [UInt8] = []
    var request: UInt64?
  }

  /// Begins to ask, or looks for somebody to ask.
  mutating func begin(at now: Instant, into effects: inout PortMapperEffects) {
    beginAt = nil
    guard isWanted, port != 0, attachment != nil, attempt == nil else { return }
    var order = MappingService.allCases.filter { allowed.contains($0) && isSeen($0, at: now) }
    if let service = grant?.mapping.service, allowed.contains(service) {
      order.removeAll { $0 == service }
      order.insert(service, at: 0)
    }
    guard !order.isEmpty else {
      // Who is found now has refused nothing yet.
      failures = 0
      return look(at: now, into: &effects)
    }
    tryNext(of: order, at: now, into: &effects)
  }

  mutating func tryNext(
    of services: [MappingService],
    at now: Instant,
    into effects: inout PortMapperEffects
  ) {
    guard let service = services.first else { return giveUp(at: now, into: &effects) }
    attempt = Attempt(service: service, remaining: Array(services.dropFirst()), deadline: now)
    switch service {
    case .pcp:
      let known = grant?.mapping.service == .pcp ? grant?.nonce : nil
      attempt?.nonce = known ?? entropy.bytes(PCPRequest.nonceLength)
      send(at: now, into: &effects)
    case .pmp: send(at: now, into: &effects)
    case .upnp: beginUPnP(at: now, into: &effects)
    }
  }

  /// Nobody maps the port: later, perhaps.
  private mutating func giveUp(at now: Instant, into effects: inout PortMapperEffects) {
    attempt = nil
    failures += 1
    let wait = Self.delay(PortMapperTiming.retries, after: failures)
    beginAt = now + wait
    // What was granted holds until its time is over; it is asked for again before that.
    if grant != nil { grant?.renewAt = now + wait }
    look(at: now, into: &effects)
  }

  mutating func fail(
    _ reason: String,
    at now: Instant,
    into effects: inout PortMapperEffects
  ) {
    guard let attempt else { return }
    effects.notes.append(.failed(attempt.service, reason: reason))
    tryNext(of: attempt.remaining, at: now, into: &effects)
  }

  /// The wish for an external port: the one we had, else one like ours, never 0.
  var wishedPort: UInt16 { grant?.mapping.external.port ?? port }

  /// Sends what was not answered yet.
  private mutating func send(at now: Instant, into effects: inout PortMapperEffects) {
    guard let attempt, let attachment, let server else { return }
    switch attempt.service {
    case .pcp:
      let wish = PCPRequest.map(
        client: attachment.own,
        nonce: attempt.nonce,
        internal: port,
        external: wishedPort,
        lifetimeSeconds: PortMapperTiming.lifetimeSeconds
      )
      effects.send(wish.bytes, to: server)
    case .pmp:
      effects.send(NATPMPRequest.externalAddress.bytes, to: server)
      if attempt.granted == nil {
        let wish = NATPMPRequest.map(
          internal: port,
          external: wishedPort,
          lifetimeSeconds: PortMapperTiming.lifetimeSeconds
        )
        effects.send(wish.bytes, to: server)
      }
      pmpAddress = nil
    case .upnp: return
    }
    self.attempt?.deadline = now + PortMapperTiming.answer * (1 << attempt.tries)
    self.attempt?.tries += 1
  }

  mutating func attemptWaited(at now: Instant, into effects: inout PortMapperEffects) {
    guard let attempt else { return }
    guard attempt.service != .upnp, attempt.tries < PortMapperTiming.tries else {
      return fail("no answer in time", at: now, into: &effects)
    }
    send(at: now, into: &effects)
  }

  // MARK: Answers

  /// Takes an answer of NAT-PMP while asking by it.
  mutating func receive(
    _ body: NATPMPResponse.Body,
    at now: Instant,
    into effects: inout PortMapperEffects
  ) {
    switch body {
    case .refused(_, let result):
      counters.refused &+= 1
      return fail("the gateway refuses (result \(result))", at: now, into: &effects)
    case .externalAddress(let address):
      guard address != nil else {
        return fail("the gateway has no address outside", at: now, into: &effects)
      }
    case .mapped(let `internal`, let external, let lifetime):
      guard `internal` == port, attempt?.granted == nil else {
        counters.unsolicited &+= 1
        return
      }
      guard lifetime > 0, external > 0 else {
        counters.absurd &+= 1
        return fail("the gateway grants nothing", at: now, into: &effects)
      }
      attempt?.granted = (external, lifetime)
    }
    guard let granted = attempt?.granted, let address = pmpAddress else { return }
    succeed(
      Endpoint(address, port: granted.port),
      lifetimeSeconds: granted.lifetime,
      at: now,
      into: &effects
    )
  }

  /// Takes an answer of PCP while asking by it.
  mutating func receive(
    _ response: PCPResponse,
    at now: Instant,
    into effects: inout PortMapperEffects
  ) {
    switch response.body {
    case .announce: break
    case .refused(operation: 1, let result):
      counters.refused &+= 1
      fail("the gateway refuses (result \(result))", at: now, into: &effects)
    case .refused: break
    case .mapped(_, let `internal`, let external):
      guard `internal` == port else {
        counters.unsolicited &+= 1
        return
      }
      guard response.lifetimeSeconds > 0 else {
        counters.absurd &+= 1
        return fail("the gateway grants nothing", at: now, into: &effects)
      }
      succeed(
        external,
        lifetimeSeconds: response.lifetimeSeconds,
        at: now,
        into: &effects
      )
    }
  }

  /// Takes what was granted, if it can be true.
  mutating func succeed(
    _ external: Endpoint,
    lifetimeSeconds: UInt32,
    through connection: ConnectionService? = nil,
    at now: Instant,
    into effects: inout PortMapperEffects
  ) {
    guard let done = attempt else { return }
    guard external.port != 0, external.address.mayBeExternal else {
      counters.absurd &+= 1
      return fail("the gateway maps \(external), which cannot be", at: now, into: &effects)
    }
    let mapping = PortMapping(service: done.service, external: external, internalPort: port)
    // No gateway makes us wait longer than what was asked for.
    let seconds = min(lifetimeSeconds, PortMapperTiming.lifetimeSeconds)
    let lifetime = Duration.seconds(Int64(seconds))
    let old = grant
    grant = Grant(
      mapping: mapping,
      until: now + max(lifetime, PortMapperTiming.leastRenewal * 2),
      renewAt: now + max(lifetime / 2, PortMapperTiming.leastRenewal),
      connection: connection,
      nonce: done.nonce
    )
    (attempt, failures, beginAt) = (nil, 0, nil)
    (checkAt, lastCheck) = (now + PortMapperTiming.check, now)
    effects.notes.append(.mapped(mapping, lifetime: lifetime))
    if old?.mapping != mapping { effects.changes.append(mapping) }
  }

  // MARK: The end

  /// Tells the gateway that the mapping is needed no longer.
  ///
  /// One that was asked for and not granted yet may be on its way, and is ended all the same.
  mutating func sayFarewell(into effects: inout PortMapperEffects) {
    guard let attachment, let server, port != 0,
      let service = attempt?.service ?? grant?.mapping.service
    else { return }
    farewell = Farewell(until: .origin)
    switch service {
    case .pcp:
      let nonce = attempt?.nonce ?? grant?.nonce ?? []
      guard nonce.count == PCPRequest.nonceLength else { return }
      farewell?.nonce = nonce
      let end = PCPRequest.map(
        client: attachment.own,
        nonce: nonce,
        internal: port,
        external: 0,
        lifetimeSeconds: 0
      )
      effects.send(end.bytes, to: server)
    case .pmp:
      let end = NATPMPRequest.map(internal: port, external: 0, lifetimeSeconds: 0)
      effects.send(end.bytes, to: server)
    case .upnp:
      var doomed = grant.flatMap { grant in
        grant.connection.map { ($0, grant.mapping.external.port) }
      }
      if case .adding(let wish) = attempt?.step { doomed = (wish.connection, wish.port) }
      guard let (connection, external) = doomed else {
        farewell = nil
        return
      }
      let id = request(.delete(external: external), of: connection, into: &effects)
      farewell?.request = id
    }
  }
}
