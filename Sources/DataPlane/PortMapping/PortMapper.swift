// SPDX-License-Identifier: Apache-2.0

import Addressing
package import Cryptography
package import Timing

/// Keeps one UDP port of ours forwarded by the gateway, by whichever service it offers.
///
/// It looks for services (`PortMapper+Looking`), asks for the mapping (`PortMapper+Asking`, over HTTP
/// `PortMapper+UPnP`), renews it at half its life, notices that a gateway forgot it, and ends it when
/// it is not wanted any more. One gateway counts, the one of the default route: whatever comes from
/// another address is dropped, and so is what nobody asked for. A mapping whose renewal fails is told
/// until its time is over.
package struct PortMapper: Sendable {
  /// What a gateway granted.
  struct Grant: Sendable {
    var mapping: PortMapping
    var until: Instant
    var renewAt: Instant
    /// Of UPnP: the service that knows it.
    var connection: ConnectionService?
    /// Of PCP: what the mapping is known by.
    var nonce: [UInt8] = []
  }

  /// The services that may be used.
  package let allowed: Set<MappingService>
  /// The gateway, and our address in its network; nil where there is none that could map.
  package internal(set) var attachment: GatewayAttachment?
  /// The port to be reached; 0 for none.
  package internal(set) var port: UInt16 = 0
  /// Whether there is to be a mapping.
  package internal(set) var isWanted = false
  /// What was dropped.
  package internal(set) var counters = PortMapperCounters()

  var entropy: Entropy
  var seen: [MappingService: Instant] = [:]
  var pcpEpoch = GatewayEpoch()
  var pmpEpoch = GatewayEpoch()
  var pmpAddress: IPAddress?
  var devices: [SSDPReply] = []
  var connections: [ConnectionService] = []

  var probe: Probe?
  var attempt: Attempt?
  var grant: Grant?
  var check: Check?
  var farewell: Farewell?
  /// When the next attempt begins.
  var beginAt: Instant?
  /// When the services are looked for again.
  var lookAt: Instant?
  var checkAt: Instant?
  var lastCheck: Instant?
  var lastAnnouncement: Instant?
  var fruitlessLooks = 0
  var failures = 0
  var requestCount: UInt64 = 0

  /// A mapper without a gateway.
  package init(allowed: Set<MappingService> = Set(MappingService.allCases), entropy: Entropy) {
    (self.allowed, self.entropy) = (allowed, entropy)
  }

  /// The mapping that stands.
  package var mapping: PortMapping? { grant?.mapping }

  /// What the gateway is known to offer.
  package func services(at now: Instant) -> MappingServices {
    var services = MappingServices()
    guard attachment != nil else { return services }
    for service in MappingService.allCases where allowed.contains(service) {
      services[service] = isSeen(service, at: now)
    }
    return services
  }

  func isSeen(_ service: MappingService, at now: Instant) -> Bool {
    seen[service].map { now - $0 <= PortMapperTiming.seen } ?? false
  }

  // MARK: What should be true

  /// Takes note of the gateway and of the port that is to be reached.
  ///
  /// A mapping at another gateway, or of another port, is ended; the datagrams that say so must leave
  /// by the old address.
  package mutating func attach(
    to attachment: GatewayAttachment?,
    port: UInt16,
    at now: Instant,
    into effects: inout PortMapperEffects
  ) {
    guard attachment != self.attachment || port != self.port else { return }
    if grant != nil || attempt != nil { sayFarewell(into: &effects) }
    let isSameGateway = attachment == self.attachment
    (self.attachment, self.port) = (attachment, port)
    dropGrant(into: &effects)
    (attempt, check, farewell) = (nil, nil, nil)
    (beginAt, checkAt, lookAt) = (nil, nil, nil)
    (failures, fruitlessLooks) = (0, 0)
    guard !isSameGateway else { return begin(at: now, into: &effects) }
    (seen, devices, connections, pmpAddress, probe) = ([:], [], [], nil, nil)
    pcpEpoch.forget()
    pmpEpoch.forget()
    if isWanted { look(at: now, into: &effects) }
  }

  /// Says whether there is to be a mapping; one that is not wanted any more is ended.
  package mutating func want(
    _ isWanted: Bool,
    at now: Instant,
    into effects: inout PortMapperEffects
  ) {
    guard isWanted != self.isWanted else { return }
    self.isWanted = isWanted
    if isWanted {
      farewell = nil
      begin(at: now, into: &effects)
    } else {
      release(at: now, into: &effects)
    }
  }

  /// Ends the mapping, and waits a moment for the gateway to say that it did: see `isAtRest`.
  package mutating func release(at now: Instant, into effects: inout PortMapperEffects) {
    isWanted = false
    if grant != nil || attempt != nil {
      sayFarewell(into: &effects)
      if farewell != nil { farewell?.until = now + PortMapperTiming.farewell }
    }
    dropGrant(into: &effects)
    (attempt, check, beginAt, checkAt, lookAt) = (nil, nil, nil, nil, nil)
  }

  /// Whether nothing is left to be confirmed: a daemon that ends waits for it.
  package var isAtRest: Bool { farewell == nil }

  mutating func dropGrant(into effects: inout PortMapperEffects) {
    guard grant != nil else { return }
    (grant, checkAt) = (nil, nil)
    effects.changes.append(nil)
  }

  // MARK: Time

  /// When `handleTimeouts` wants to be called; nil when nothing waits.
  package var nextTimeout: Instant? {
    let busy = attempt != nil
    let times: [Instant?] = [
      probe?.next, attempt?.deadline, check?.deadline, farewell?.until, busy ? nil : beginAt,
      lookAt, checkAt, busy ? nil : grant?.renewAt, grant?.until,
    ]
    return times.compactMap(\.self).min()
  }

  /// Does what has become due.
  package mutating func handleTimeouts(at now: Instant, into effects: inout PortMapperEffects) {
    if let farewell, farewell.until <= now { self.farewell = nil }
    advanceProbe(at: now, into: &effects)
    if let check, check.deadline <= now { self.check = nil }
    if let deadline = attempt?.deadline, deadline <= now { attemptWaited(at: now, into: &effects) }
    if let grant, grant.until <= now {
      effects.notes.append(.expired(grant.mapping))
      dropGrant(into: &effects)
    }
    if let lookAt, lookAt <= now {
      self.lookAt = nil
      if isWanted { look(at: now, into: &effects) }
    }
    if let checkAt, checkAt <= now { startCheck(at: now, into: &effects) }
    let isDue = [beginAt, grant?.renewAt].contains { $0.map { $0 <= now } ?? false }
    if attempt == nil, isDue { begin(at: now, into: &effects) }
  }
}
