// SPDX-License-Identifier: Apache-2.0

import Addressing
import Bytes
import Cryptography
package import PortMapping
import Timing

/// What a router offers to hosts behind it that ask for ports.
package struct PortMappingBehaviour: Hashable, Sendable {
  /// Whether it does what it says.
  package enum Honesty: Hashable, Sendable, CaseIterable {
    /// It does.
    case honest
    /// It names an address that is another's.
    case foreignAddress
    /// It grants ports and forwards nothing.
    case noForwarding
    /// It grants the port 0.
    case portZero
    /// Its answers are damaged.
    case garbage
    /// Its clock stands still, so that it seems to forget all the time.
    case forgetful
  }

  /// By which services; UPnP is not simulated.
  package var services: Set<MappingService>
  /// Whether it does what it says.
  package var honesty: Honesty
  /// How long a mapping holds at most.
  package var lifetime: Duration

  /// A router that maps ports.
  package init(
    services: Set<MappingService> = [.pcp, .pmp],
    honesty: Honesty = .honest,
    lifetime: Duration = .seconds(7200)
  ) {
    (self.services, self.honesty, self.lifetime) = (services, honesty, lifetime)
  }

  /// Whether who asks is let in afterwards.
  package var lets: Bool { honesty == .honest && !services.isEmpty }
}

/// The part of a router that grants ports.
struct VirtualGateway {
  static let port: UInt16 = 5351
  private static let elsewhere = IPAddress(198, 18, 7, 7)

  let behaviour: PortMappingBehaviour
  /// When it forgot all.
  var startedAt: Instant

  /// What it answers to a host; nil for nothing.
  mutating func answer(
    _ request: [UInt8],
    from inside: IPAddress,
    _ nat: inout VirtualNAT,
    at now: Instant,
    using random: inout Entropy
  ) -> [UInt8]? {
    guard var answer = truth(request, from: inside, &nat, at: now, using: &random) else {
      return nil
    }
    if behaviour.honesty == .garbage {
      let index = Int.random(in: answer.indices, using: &random)
      answer[index] ^= UInt8.random(in: 1...255, using: &random)
      answer.removeLast(Int.random(in: 0..<answer.count, using: &random))
    }
    return answer
  }

  private func truth(
    _ request: [UInt8],
    from inside: IPAddress,
    _ nat: inout VirtualNAT,
    at now: Instant,
    using random: inout Entropy
  ) -> [UInt8]? {
    let address = behaviour.honesty == .foreignAddress ? Self.elsewhere : nat.address
    let age = behaviour.honesty == .forgetful ? 0 : (now - startedAt).components.seconds
    var writer = ByteWriter()
    switch (request.first, request.count) {
    case (0, 2) where behaviour.services.contains(.pmp):
      writer.write([0, 0x80, 0, 0])
      writer.bigEndian(UInt32(clamping: age))
      writer.write(address.bytes)
    case (0, 12) where behaviour.services.contains(.pmp):
      let granted = map(request, at: 4, 8, inside, &nat, at: now)
      writer.write([0, 0x81, 0, 0])
      writer.bigEndian(UInt32(clamping: age))
      writer.write(request[4..<6])
      writer.bigEndian(granted.port)
      writer.bigEndian(granted.seconds)
    case (2, 24) where behaviour.services.contains(.pcp):
      writer.write([2, 0x80, 0, 0, 0, 0, 0, 0])
      writer.bigEndian(UInt32(clamping: age))
      writer.zeros(12)
    case (2, 60) where behaviour.services.contains(.pcp):
      let granted = map(request, at: 40, 4, inside, &nat, at: now)
      writer.write([2, 0x81, 0, 0])
      writer.bigEndian(granted.seconds)
      writer.bigEndian(UInt32(clamping: age))
      writer.zeros(12)
      writer.write(request[24..<42])
      writer.bigEndian(granted.port)
      writer.write(address.bytesMapped)
    default: return nil
    }
    return writer.bytes
  }

  /// Grants what a request wishes whose two ports and whose lifetime stand at those places.
  private func map(
    _ request: [UInt8],
    at ports: Int,
    _ lifetime: Int,
    _ inside: IPAddress,
    _ nat: inout VirtualNAT,
    at now: Instant
  ) -> (port: UInt16, seconds: UInt32) {
    func number(_ place: Int) -> UInt16 { UInt16(request[place]) << 8 | UInt16(request[place + 1]) }
    let asked = UInt32(number(lifetime)) << 16 | UInt32(number(lifetime + 2))
    let host = Endpoint(inside, port: number(ports))
    guard asked > 0 else {
      nat.forwardNoLonger(to: host)
      return (0, 0)
    }
    let seconds = min(asked, UInt32(clamping: behaviour.lifetime.components.seconds))
    switch behaviour.honesty {
    case .portZero: return (0, seconds)
    case .noForwarding: return (number(ports + 2), seconds)
    default: break
    }
    let until = now + .seconds(Int64(seconds))
    return (nat.forward(to: host, wishing: number(ports + 2), until: until, at: now), seconds)
  }
}
