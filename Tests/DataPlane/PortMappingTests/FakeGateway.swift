// SPDX-License-Identifier: Apache-2.0

import Addressing
import Bytes
import Cryptography
import PortMapping
import Testing
import Timing

/// A home router that offers what it is told to, and a mapper in the network behind it.
struct Household {
  static let gateway = IPAddress(192, 168, 1, 1)
  static let own = IPAddress(192, 168, 1, 10)
  static let port: UInt16 = 41_641

  var mapper: PortMapper
  var now = Instant(nanoseconds: 1_000_000_000_000)
  var changes: [PortMapping?] = []
  var findings: [MappingServices] = []
  var notes: [PortMapperEffects.Note] = []
  var sends: [PortMapperEffects.Send] = []

  /// What the router offers.
  var offered: Set<MappingService>
  var external = IPAddress(203, 1, 1, 5)
  var startedAt = Instant(nanoseconds: 0)
  var lifetime: UInt32 = 7200
  /// Internal ports by external ports.
  var table: [UInt16: UInt16] = [:]
  /// External ports that others have.
  var taken: Set<UInt16> = []
  /// What is answered in place of the truth.
  var lie: (@Sendable ([UInt8]) -> [UInt8])?
  var faults: [String: Int] = [:]
  var isIGD2 = false
  var isDeaf = false
  var requests: [String] = []

  init(_ offered: Set<MappingService>, allowed: Set<MappingService> = Set(MappingService.allCases))
  {
    self.offered = offered
    mapper = PortMapper(allowed: allowed, entropy: Entropy(seed: 3))
  }

  /// The mapper is attached and wants a mapping.
  mutating func begin() throws {
    let attachment = try #require(GatewayAttachment(gateway: Self.gateway, own: Self.own))
    var effects = PortMapperEffects()
    mapper.attach(to: attachment, port: Self.port, at: now, into: &effects)
    mapper.want(true, at: now, into: &effects)
    perform(effects)
  }

  /// Lets time pass, as long as `span`, stopping wherever the mapper wants.
  mutating func pass(_ span: Duration) {
    let end = now + span
    while let next = mapper.nextTimeout, next <= end {
      now = max(now, next)
      var effects = PortMapperEffects()
      mapper.handleTimeouts(at: now, into: &effects)
      perform(effects)
    }
    now = end
  }

  mutating func act(_ body: (inout PortMapper, Instant, inout PortMapperEffects) -> Void) {
    var effects = PortMapperEffects()
    body(&mapper, now, &effects)
    perform(effects)
  }

  mutating func receive(_ bytes: [UInt8], from address: IPAddress = gateway, port: UInt16 = 5351) {
    act { $0.receive(bytes, from: Endpoint(address, port: port), at: $1, into: &$2) }
  }

  private mutating func perform(_ effects: PortMapperEffects) {
    changes += effects.changes
    findings += effects.findings
    notes += effects.notes
    sends += effects.sends
    guard !isDeaf else { return }
    for send in effects.sends {
      for (answer, port) in answers(to: send) {
        receive(lie.map { $0(answer) } ?? answer, port: port)
      }
    }
    for request in effects.requests {
      let answer = answer(to: request)
      act { $0.received(answer, for: request.id, at: $1, into: &$2) }
    }
  }

  // MARK: The router

  var epoch: UInt32 { UInt32(clamping: (now - startedAt).components.seconds) }

  /// The router loses its table and begins anew.
  mutating func restart() {
    table = [:]
    startedAt = now
  }

  private func free(_ wish: UInt16) -> UInt16 {
    var port = wish
    while taken.contains(port) { port += 1 }
    return port
  }

  private mutating func answers(to send: PortMapperEffects.Send) -> [([UInt8], UInt16)] {
    if send.destination.port == 1900 {
      guard offered.contains(.upnp) else { return [] }
      let text =
        "HTTP/1.1 200 OK\r\nST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n"
        + "USN: u:InternetGatewayDevice:1\r\nLOCATION: http://192.168.1.1:5000/root\r\n\r\n"
      return [(Array(text.utf8), 1900)]
    }
    guard send.destination == Endpoint(Self.gateway, port: 5351) else { return [] }
    switch (send.bytes.first, send.bytes.count) {
    case (0, 2) where offered.contains(.pmp):
      var writer = ByteWriter()
      writer.write([0, 0x80, 0, 0])
      writer.bigEndian(epoch)
      writer.write(external.bytes)
      return [(writer.bytes, 5351)]
    case (0, 12) where offered.contains(.pmp): return [(mapByPMP(send.bytes), 5351)]
    case (2, 24) where offered.contains(.pcp):
      var writer = ByteWriter()
      writer.write([2, 0x80, 0, 0, 0, 0, 0, 0])
      writer.bigEndian(epoch)
      writer.zeros(12)
      return [(writer.bytes, 5351)]
    case (2, 60) where offered.contains(.pcp): return [(mapByPCP(send.bytes), 5351)]
    default: return []
    }
  }

  private mutating func map(_ internalPort: UInt16, _ wish: UInt16, _ lifetime: UInt32) -> UInt16 {
    guard lifetime > 0 else {
      table = table.filter { $0.value != internalPort }
      return 0
    }
    let known = table.first { $0.value == internalPort }?.key
    let port = known ?? free(wish == 0 ? internalPort : wish)
    table[port] = internalPort
    return port
  }

  private mutating func mapByPMP(_ request: [UInt8]) -> [UInt8] {
    let number = { (at: Int) in UInt16(request[at]) << 8 | UInt16(request[at + 1]) }
    let asked = UInt32(number(8)) << 16 | UInt32(number(10))
    let port = map(number(4), number(6), asked)
    var writer = ByteWriter()
    writer.write([0, 0x81, 0, 0])
    writer.bigEndian(epoch)
    writer.bigEndian(number(4))
    writer.bigEndian(port)
    writer.bigEndian(asked == 0 ? 0 : lifetime)
    return writer.bytes
  }

  private mutating func mapByPCP(_ request: [UInt8]) -> [UInt8] {
    let number = { (at: Int) in UInt16(request[at]) << 8 | UInt16(request[at + 1]) }
    let asked = UInt32(number(4)) << 16 | UInt32(number(6))
    let port = map(number(40), number(42), asked)
    var writer = ByteWriter()
    writer.write([2, 0x81, 0, 0])
    writer.bigEndian(asked == 0 ? 0 : lifetime)
    writer.bigEndian(epoch)
    writer.zeros(12)
    writer.write(request[24..<42])
    writer.bigEndian(port)
    writer.write(external.bytesMapped)
    return writer.bytes
  }

  private mutating func answer(to request: PortMapperEffects.Request) -> [UInt8]? {
    guard offered.contains(.upnp), request.server == Endpoint(Self.gateway, port: 5000) else {
      return nil
    }
    guard let post = request.post else {
      requests.append("GET")
      let version = isIGD2 ? 2 : 1
      let text =
        "<root><service><serviceType>urn:schemas-upnp-org:service:WANIPConnection:\(version)"
        + "</serviceType><controlURL>/ctl</controlURL></service></root>"
      return Array(text.utf8)
    }
    let name = String(post.action.dropLast().split(separator: "#").last ?? "")
    requests.append(name)
    guard let asked = try? SOAPResponse(parsing: post.body) else { return nil }
    if let fault = faults[name] { return Self.fault(fault) }
    let port = asked["NewExternalPort"].flatMap { UInt16($0) } ?? 0
    switch name {
    case "GetExternalIPAddress":
      return Self.values("<NewExternalIPAddress>\(external)</NewExternalIPAddress>")
    case "AddPortMapping":
      guard !taken.contains(port) else { return Self.fault(718) }
      table[port] = asked["NewInternalPort"].flatMap { UInt16($0) }
      return Self.values("")
    case "AddAnyPortMapping":
      let chosen = free(port)
      table[chosen] = asked["NewInternalPort"].flatMap { UInt16($0) }
      return Self.values("<NewReservedPort>\(chosen)</NewReservedPort>")
    case "GetSpecificPortMappingEntry":
      guard let entry = table[port] else { return Self.fault(714) }
      return Self.values(
        "<NewInternalPort>\(entry)</NewInternalPort><NewInternalClient>\(Self.own)"
          + "</NewInternalClient>"
      )
    case "DeletePortMapping":
      table[port] = nil
      return Self.values("")
    default: return Self.fault(401)
    }
  }

  private static func values(_ values: String) -> [UInt8] {
    Array("<Envelope><Body><Response>\(values)</Response></Body></Envelope>".utf8)
  }

  private static func fault(_ code: Int) -> [UInt8] {
    let text = "<Envelope><Body><Fault><errorCode>\(code)</errorCode></Fault></Body></Envelope>"
    return Array(text.utf8)
  }
}
