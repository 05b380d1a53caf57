// SPDX-License-Identifier: Apache-2.0

import Addressing
import Cryptography
package import Timing

/// Asking over HTTP: description, address, mapping.
extension PortMapper {
  /// How far a conversation by UPnP is.
  enum UPnPStep: Sendable {
    case idle
    /// The description of the first of these devices is awaited.
    case describing([SSDPReply])
    /// The external address of the first of these services is awaited; `fallback` has one that is
    /// not public.
    case locating([ConnectionService], fallback: (ConnectionService, IPAddress)?)
    /// The mapping is awaited.
    case adding(Wish)
  }

  /// A mapping that is asked for.
  struct Wish: Sendable {
    var connection: ConnectionService
    var address: IPAddress
    var port: UInt16
    var leaseSeconds = PortMapperTiming.lifetimeSeconds
    /// Whether the gateway may choose another port.
    var isAny: Bool
    var portTries = 1
  }

  private enum Fault {
    static let invalidAction = 401
    static let invalidArguments = 402
    static let noSuchEntry = 714
    static let conflict = 718
    static let samePorts = 724
    static let permanentOnly = 725
  }

  mutating func beginUPnP(at now: Instant, into effects: inout PortMapperEffects) {
    if connections.isEmpty {
      describe(devices, at: now, into: &effects)
    } else {
      locate(connections, fallback: nil, at: now, into: &effects)
    }
  }

  // MARK: Steps

  private mutating func describe(
    _ devices: [SSDPReply],
    at now: Instant,
    into effects: inout PortMapperEffects
  ) {
    guard let device = devices.first, let attachment else {
      return fail("no device describes a service that maps ports", at: now, into: &effects)
    }
    requestCount += 1
    effects.requests.append(
      .init(
        id: requestCount,
        server: Endpoint(attachment.gateway, port: device.location.port),
        path: device.location.path
      )
    )
    wait(for: requestCount, as: .describing(devices), at: now)
  }

  private mutating func locate(
    _ services: [ConnectionService],
    fallback: (ConnectionService, IPAddress)?,
    at now: Instant,
    into effects: inout PortMapperEffects
  ) {
    guard let service = services.first else {
      guard let (connection, address) = fallback else {
        connections = []
        return fail("the gateway tells no address outside", at: now, into: &effects)
      }
      return add(connection, at: address, now, into: &effects)
    }
    let id = request(.externalAddress, of: service, into: &effects)
    wait(for: id, as: .locating(services, fallback: fallback), at: now)
  }

  private mutating func add(
    _ connection: ConnectionService,
    at address: IPAddress,
    _ now: Instant,
    into effects: inout PortMapperEffects
  ) {
    let isAny = connection.kind == .ip2
    // A gateway that does not choose may hand the port of a neighbour over: ours is no likely one.
    let fresh = isAny ? port : randomPort()
    let known = grant?.mapping.service == .upnp ? grant?.mapping.external.port : nil
    ask(
      Wish(connection: connection, address: address, port: known ?? fresh, isAny: isAny),
      at: now,
      into: &effects
    )
  }

  private mutating func ask(
    _ wish: Wish,
    at now: Instant,
    into effects: inout PortMapperEffects
  ) {
    guard let own = attachment?.own, wish.port != 0 else { return }
    let action: SOAPAction =
      wish.isAny
      ? .addAny(
        external: wish.port,
        internal: port,
        client: own,
        leaseSeconds: wish.leaseSeconds
      )
      : .add(external: wish.port, internal: port, client: own, leaseSeconds: wish.leaseSeconds)
    let id = request(action, of: wish.connection, into: &effects)
    wait(for: id, as: .adding(wish), at: now)
  }

  private mutating func randomPort() -> UInt16 { UInt16.random(in: 1024..<65535, using: &entropy) }

  private mutating func wait(for id: UInt64?, as step: UPnPStep, at now: Instant) {
    attempt?.request = id
    attempt?.step = step
    attempt?.deadline = now + PortMapperTiming.http
  }

  /// Posts an action.
  ///
  /// - Returns: What the answer is known by.
  mutating func request(
    _ action: SOAPAction,
    of service: ConnectionService,
    into effects: inout PortMapperEffects
  ) -> UInt64? {
    guard let attachment else { return nil }
    requestCount += 1
    effects.requests.append(
      .init(
        id: requestCount,
        server: Endpoint(attachment.gateway, port: service.control.port),
        path: service.control.path,
        post: .init(action: action.header(for: service.kind), body: action.body(for: service.kind))
      )
    )
    return requestCount
  }

  // MARK: Answers

  /// Takes how a request over HTTP ended: the document that came with status 200 or 500, else nil.
  package mutating func received(
    _ document: [UInt8]?,
    for id: UInt64,
    at now: Instant,
    into effects: inout PortMapperEffects
  ) {
    if farewell?.request == id {
      farewell = nil
      return
    }
    if check?.request == id { return concludeCheck(document, at: now, into: &effects) }
    guard let attempt, attempt.request == id else {
      counters.unsolicited &+= 1
      return
    }
    self.attempt?.request = nil
    switch attempt.step {
    case .idle: break
    case .describing(let devices):
      receiveDescription(document, of: devices, at: now, into: &effects)
    case .locating(let services, let fallback):
      receiveAddress(document, of: services, fallback, at: now, into: &effects)
    case .adding(let wish): receiveMapping(document, for: wish, at: now, into: &effects)
    }
  }

  private mutating func receiveDescription(
    _ document: [UInt8]?,
    of devices: [SSDPReply],
    at now: Instant,
    into effects: inout PortMapperEffects
  ) {
    guard let device = devices.first else { return }
    let description = document.flatMap { document in
      // A description that cannot be read is as good as none.
      try? DeviceDescription(parsing: document, at: device.location)
    }
    if document != nil, description == nil { counters.malformed &+= 1 }
    connections = description?.services ?? []
    guard connections.isEmpty else {
      return locate(connections, fallback: nil, at: now, into: &effects)
    }
    describe(Array(devices.dropFirst()), at: now, into: &effects)
  }

  private mutating func receiveAddress(
    _ document: [UInt8]?,
    of services: [ConnectionService],
    _ fallback: (ConnectionService, IPAddress)?,
    at now: Instant,
    into effects: inout PortMapperEffects
  ) {
    guard let service = services.first else { return }
    let address = response(document)?["NewExternalIPAddress"].flatMap { IPAddress($0) }
    guard let address, address.mayBeExternal else {
      return locate(Array(services.dropFirst()), fallback: fallback, at: now, into: &effects)
    }
    guard address.isPublic else {
      return locate(
        Array(services.dropFirst()),
        fallback: fallback ?? (service, address),
        at: now,
        into: &effects
      )
    }
    add(service, at: address, now, into: &effects)
  }

  private mutating func receiveMapping(
    _ document: [UInt8]?,
    for wish: Wish,
    at now: Instant,
    into effects: inout PortMapperEffects
  ) {
    guard let response = response(document) else {
      connections = []
      return fail("the gateway's answer makes no sense", at: now, into: &effects)
    }
    if case .fault(let code) = response {
      return receive(fault: code, for: wish, at: now, into: &effects)
    }
    var port = wish.port
    if wish.isAny {
      guard let chosen = response["NewReservedPort"].flatMap({ UInt16($0) }), chosen != 0 else {
        counters.absurd &+= 1
        return fail("the gateway reserves no port", at: now, into: &effects)
      }
      port = chosen
    }
    succeed(
      Endpoint(wish.address, port: port),
      lifetimeSeconds: PortMapperTiming.lifetimeSeconds,
      through: wish.connection,
      at: now,
      into: &effects
    )
  }

  private mutating func receive(
    fault code: Int,
    for wish: Wish,
    at now: Instant,
    into effects: inout PortMapperEffects
  ) {
    counters.refused &+= 1
    var next = wish
    switch code {
    case Fault.invalidAction where wish.isAny:
      (next.isAny, next.port) = (false, randomPort())
    case Fault.invalidArguments where wish.leaseSeconds != 0,
      Fault.permanentOnly where wish.leaseSeconds != 0:
      next.leaseSeconds = 0
    case Fault.conflict where wish.portTries < PortMapperLimits.portTries:
      (next.port, next.portTries) = (randomPort(), wish.portTries + 1)
    case Fault.samePorts where wish.port != port: next.port = port
    default:
      return fail("the gateway refuses (error \(code))", at: now, into: &effects)
    }
    ask(next, at: now, into: &effects)
  }

  private mutating func concludeCheck(
    _ document: [UInt8]?,
    at now: Instant,
    into effects: inout PortMapperEffects
  ) {
    check = nil
    guard let response = response(document), let grant else {
      // It may be found elsewhere now.
      connections = []
      self.grant?.renewAt = now + PortMapperTiming.probeLength
      return look(at: now, into: &effects)
    }
    let isLost =
      switch response {
      case .fault(let code): code == Fault.noSuchEntry
      case .values:
        response["NewInternalClient"].flatMap { IPAddress($0) } != attachment?.own
          || response["NewInternalPort"] != "\(grant.mapping.internalPort)"
      }
    // The description may be another one after a restart.
    if isLost { connections = [] }
    concludeCheck(isLost: isLost, at: now, into: &effects)
  }

  private mutating func response(_ document: [UInt8]?) -> SOAPResponse? {
    guard let document else { return nil }
    do throws(XMLError) {
      return try SOAPResponse(parsing: document)
    } catch {
      counters.malformed &+= 1
      return nil
    }
  }
}
