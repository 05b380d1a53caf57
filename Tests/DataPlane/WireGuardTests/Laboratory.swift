// SPDX-License-Identifier: Apache-2.0

import Addressing
import Bytes
import Cryptography
import Foundation
import Glibc
import Keys
import Timing

@testable import WireGuard

/// A tunnel and what came out of it.
final class TestNode {
  let id: PeerID
  let key: NodePrivateKey
  var tunnel: Tunnel
  var effects = Effects()
  /// What the tunnel delivered, by length without padding trimmed.
  var delivered: [[UInt8]] = []
  var received: [Received] = []
  /// Where its datagrams seem to come from.
  var source: [UInt8]
  /// What its wall clock is ahead of the truth.
  var clockError = Duration.zero

  init(_ number: Int64, seed: UInt64, backend: PacketBackend = .boringSSL) {
    id = PeerID(number)
    var entropy = Entropy(seed: seed)
    key = NodePrivateKey.generate(using: &entropy)
    tunnel = Tunnel(privateKey: key, mtu: 1280, entropy: entropy, backend: backend)
    source = Endpoint(IPAddress(192, 0, 2, UInt8(number)), port: 41641).discoveryBytes
  }

  // A tunnel cannot be copied, which the expectations of the test library would have to.
  var nextTimeout: Instant? { tunnel.nextTimeout }
  var counters: TunnelCounters { tunnel.counters }
  var peerCount: Int { tunnel.peerCount }
  var indexCount: Int { tunnel.local.receivers.count }
  func status(of peer: PeerID) -> PeerStatus? { tunnel.status(of: peer) }
  func peer(for address: IPAddress) -> PeerID? { tunnel.peer(for: address) }
  func peer(_ peer: PeerID, owns address: IPAddress) -> Bool { tunnel.peer(peer, owns: address) }
}

/// Two tunnels, a clock and a wire between them that may lose, repeat and delay.
final class Laboratory {
  struct Flight {
    var arrives: Instant
    var order: Int
    var to: Int
    var bytes: [UInt8]
    var source: [UInt8]
  }

  let nodes: [TestNode]
  var now = Instant(nanoseconds: 1_000_000_000)
  let wallAtOrigin = Timestamp(seconds: 1_800_000_000)
  var chance: Entropy
  var lossPercent: UInt64 = 0
  var duplicatePercent: UInt64 = 0
  var latency = Duration.milliseconds(10)
  var jitterMilliseconds: UInt64 = 0
  /// A wire that is cut carries nothing; what would have gone is still in `sent`.
  var isCut = false
  private(set) var sent: [(at: Instant, from: Int, bytes: [UInt8])] = []
  private var flights: [Flight] = []
  private var order = 0

  init(
    seed: UInt64 = 1,
    backend: PacketBackend = .boringSSL,
    configure: (inout PeerConfiguration, Int) -> Void = { _, _ in }
  ) {
    nodes = [
      TestNode(1, seed: seed &+ 100, backend: backend),
      TestNode(2, seed: seed &+ 200, backend: backend),
    ]
    chance = Entropy(seed: seed)
    for index in 0...1 {
      let other = nodes[1 - index]
      var configuration = PeerConfiguration(
        publicKey: other.key.publicKey,
        allowedIPs: [Self.prefix(1 - index)]
      )
      configure(&configuration, index)
      nodes[index].tunnel.setPeer(other.id, configuration, at: now, into: &nodes[index].effects)
    }
  }

  static func address(_ index: Int) -> IPAddress { IPAddress(100, 64, 0, UInt8(index + 1)) }
  static func prefix(_ index: Int) -> IPPrefix { IPPrefix(host: address(index)) }

  func peer(of index: Int) -> PeerID { nodes[1 - index].id }
  func wall(_ index: Int) -> Timestamp {
    wallAtOrigin + (now - .origin) + nodes[index].clockError
  }

  /// Sends a packet as a pipeline does.
  func send(_ packet: [UInt8], from index: Int) {
    let node = nodes[index]
    let run = node.tunnel.beginSealing(
      peer(of: index),
      packets: 1,
      at: now,
      timestamp: wall(index),
      into: &node.effects
    )
    if let run {
      let datagram = Self.seal(packet, run, 0, node)
      node.tunnel.didSend(run, bytes: datagram.count, at: now)
      transmit(datagram, from: index)
    } else {
      node.tunnel.stage(packet, for: peer(of: index))
    }
    settle(index)
  }

  static func seal(_ packet: [UInt8], _ run: SealingRun, _ index: Int, _ node: TestNode) -> [UInt8]
  {
    let padded = Padding.paddedLength(packet.count, mtu: 1280)
    var datagram = [UInt8](repeating: 0, count: 16)
    datagram += packet
    datagram += [UInt8](repeating: 0, count: padded - packet.count + 16)
    // SAFETY: header, padded packet and tag fit the array.
    unsafe datagram.withUnsafeMutableBytes { bytes in
      guard let base = bytes.baseAddress else { return }
      unsafe node.tunnel.seal(run, index: index, buffer: base, plaintextCount: padded)
    }
    return datagram
  }

  /// Gives a datagram to a node at once.
  @discardableResult
  func deliver(_ bytes: [UInt8], to index: Int, source: [UInt8]? = nil) -> Received {
    let node = nodes[index]
    var bytes = bytes
    let wall = wall(index)
    let from = source ?? nodes[1 - index].source
    // SAFETY: the buffer is the array.
    let received = unsafe bytes.withUnsafeMutableBytes { buffer in
      unsafe node.tunnel.receive(buffer, from: from, at: now, timestamp: wall, into: &node.effects)
    }
    if case .packet(_, let offset, let count) = received {
      node.delivered.append(Array(bytes[offset..<offset + count]))
    }
    node.received.append(received)
    settle(index)
    return received
  }

  /// Gives datagrams to a node as they arrive together: all of one size but the last.
  @discardableResult
  func deliver(train bytes: [UInt8], segmentSize: Int, to index: Int) -> [Received] {
    let node = nodes[index]
    var bytes = bytes
    let wall = wall(index)
    var results: [Received] = []
    var offset = 0
    while offset < bytes.count {
      let before = results.count
      // SAFETY: the buffer is the array.
      let taken = unsafe bytes.withUnsafeMutableBytes { buffer in
        unsafe node.tunnel.receive(
          train: UnsafeMutableRawBufferPointer(rebasing: buffer[offset...]),
          segmentSize: segmentSize,
          at: now,
          timestamp: wall,
          into: &node.effects,
          results: &results
        )
      }
      if taken == 0 {
        let end = min(offset + segmentSize, bytes.count)
        results.append(deliver(Array(bytes[offset..<end]), to: index))
        offset = end
        continue
      }
      for received in results[before...] {
        if case .packet(_, let start, let count) = received {
          node.delivered.append(Array(bytes[offset + start..<offset + start + count]))
        }
        node.received.append(received)
        offset = min(offset + segmentSize, bytes.count)
      }
      settle(index)
    }
    return results
  }

  /// Puts on the wire what a node wants sent.
  func settle(_ index: Int) {
    let node = nodes[index]
    for send in node.effects.sends { transmit(send.bytes, from: index) }
    for reply in node.effects.replies { transmit(reply.bytes, from: index) }
    node.effects.removeAll()
  }

  func transmit(_ bytes: [UInt8], from index: Int) {
    sent.append((now, index, bytes))
    guard !isCut else { return }
    let copies = percent(duplicatePercent) ? 2 : 1
    for _ in 0..<copies where !percent(lossPercent) {
      let extra = jitterMilliseconds == 0 ? 0 : chance.next() % jitterMilliseconds
      order += 1
      flights.append(
        Flight(
          arrives: now + latency + .milliseconds(Int64(extra)),
          order: order,
          to: 1 - index,
          bytes: bytes,
          source: nodes[index].source
        )
      )
    }
  }

  /// Takes what is on the wire off it.
  func takeFlights() -> [[UInt8]] {
    defer { flights = [] }
    return flights.map(\.bytes)
  }

  /// Lets `duration` pass.
  func run(for duration: Duration) { run(until: now + duration) }

  func run(until end: Instant) {
    while true {
      let arrival = flights.min { ($0.arrives, $0.order) < ($1.arrives, $1.order) }
      let timers = nodes.map(\.nextTimeout)
      let candidates = [arrival?.arrives] + timers
      guard let next = candidates.compactMap({ $0 }).min(), next <= end else { break }
      now = max(now, next)
      if let arrival, arrival.arrives <= now {
        flights.removeAll { $0.order == arrival.order }
        deliver(arrival.bytes, to: arrival.to, source: arrival.source)
      } else {
        for index in 0...1 { handleTimeouts(index) }
      }
    }
    now = max(now, end)
  }

  func handleTimeouts(_ index: Int) {
    let node = nodes[index]
    node.tunnel.handleTimeouts(at: now, timestamp: wall(index), into: &node.effects)
    settle(index)
  }

  /// How many datagrams of a type a node has sent.
  func count(type: UInt8, from index: Int) -> Int {
    sent.count { $0.from == index && $0.bytes[0] == type }
  }

  private func percent(_ share: UInt64) -> Bool { share > 0 && chance.next() % 100 < share }
}

/// A packet of `length` bytes that tells its number.
func packet(_ number: Int, length: Int = 64) -> [UInt8] {
  var writer = ByteWriter()
  writer.bigEndian(UInt64(number))
  for index in 8..<length { writer.bigEndian(UInt8(truncatingIfNeeded: index * 7 + number)) }
  return writer.bytes
}

func vectorFile<Value: Decodable>(_ name: String) throws -> Value {
  let url = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("../../../Fixtures/Vectors/\(name).json")
  return try JSONDecoder().decode(Value.self, from: Data(contentsOf: url))
}

/// Every backend that this machine can run: BoringSSL, and the library where it is usable.
let usableBackends: [PacketBackend] = {
  let choice = try? PacketBackendChoice {
    guard let handle = unsafe dlopen(PacketBackend.libraryName, RTLD_NOW | RTLD_LOCAL) else {
      return .failure(.notInstalled("no such file"))
    }
    let address = UInt(bitPattern: handle)
    return .success { name in
      unsafe dlsym(UnsafeMutableRawPointer(bitPattern: address), name).map { UInt(bitPattern: $0) }
    }
  }
  guard let choice, choice.backend.name != .boringSSL else { return [.boringSSL] }
  return [.boringSSL, choice.backend]
}()
