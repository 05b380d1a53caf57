// SPDX-License-Identifier: Apache-2.0

import Addressing
import Cryptography
package import DERP
import DataPlaneDriver
import HTTPTransport
import HostIO
import STUN
import Timing

/// Finds out what a probe asks.
package struct Prober: Sendable {
  /// How many probes run at once.
  package static let maximumAtOnce = 64

  private let bandwidthBytes: Int
  private let meshKey: MeshKey?

  private static let packetSize = 1400
  /// Packets under way at once: fewer than relays keep for a client.
  private static let window = 24
  /// How often a packet is sent until it arrives: relays tell each other of new clients.
  private static let attempts = 20
  private static let attemptInterval = Duration.milliseconds(200)
  private static let stunAttempts = 3

  /// A prober.
  ///
  /// - Parameters:
  ///   - bandwidthBytes: How many bytes cross for a measurement of bandwidth.
  ///   - meshKey: The secret of the relays' mesh, for relays that do not admit everybody.
  package init(bandwidthBytes: Int, meshKey: MeshKey?) {
    (self.bandwidthBytes, self.meshKey) = (bandwidthBytes, meshKey)
  }

  /// Does what the probe asks, and tells what came of it.
  package func run(_ probe: RelayProbe) async -> RelayProbeOutcome {
    do {
      switch probe.kind {
      case .stun: return try await askForAddress(probe.from)
      case .tls: return try await shakeHands(probe.from)
      case .mesh: return try await cross(probe)
      case .bandwidth: return try await carry(probe)
      }
    } catch let error as HTTPTransportError {
      return .bad(error.what)
    } catch {
      return .bad("\(error)")
    }
  }

  // MARK: TLS

  private func shakeHands(_ node: RelayNode) async throws -> RelayProbeOutcome {
    let begun = MonotonicClock.now()
    let stream = try await node.dial(Dialer(), timeout: ProbeClient.timeout)
    stream.abort()
    return .good(after: MonotonicClock.now() - begun)
  }

  // MARK: Packets

  /// Lets two clients meet; those packets that brought it about have all arrived.
  private func meet(_ probe: RelayProbe) async throws -> (ProbeClient, ProbeClient) {
    let from = try await ProbeClient.connect(to: probe.from, meshKey)
    let to = try await ProbeClient.connect(to: probe.to, meshKey)
    var entropy = Entropy.system
    let mark = entropy.bytes(32)
    let caller = Task {
      for _ in 0..<Self.attempts {
        try await from.send([mark], to: to.key)
        try await Task.sleep(for: Self.attemptInterval)
      }
    }
    defer { caller.cancel() }
    guard try await to.next() == mark else {
      throw ProbeFailure("another packet came than was sent")
    }
    return (from, to)
  }

  private func cross(_ probe: RelayProbe) async throws -> RelayProbeOutcome {
    let (from, to) = try await meet(probe)
    defer {
      from.leave()
      to.leave()
    }
    var entropy = Entropy.system
    let packet = entropy.bytes(64)
    let begun = MonotonicClock.now()
    try await to.send([packet], to: from.key)
    guard try await from.next() == packet else {
      throw ProbeFailure("another packet came than was sent")
    }
    return .good(after: MonotonicClock.now() - begun)
  }

  private func carry(_ probe: RelayProbe) async throws -> RelayProbeOutcome {
    let (to, from) = try await meet(probe)
    defer {
      from.leave()
      to.leave()
    }
    let batch = [[UInt8]](
      repeating: [UInt8](repeating: 0x5A, count: Self.packetSize),
      count: Self.window
    )
    let begun = MonotonicClock.now()
    var carried = 0
    while carried < bandwidthBytes {
      try await from.send(batch, to: to.key)
      for _ in batch { carried += try await to.next().count }
    }
    let time = MonotonicClock.now() - begun
    var outcome = RelayProbeOutcome.good(after: time)
    outcome.bitsPerSecond = Double(carried * 8) / max(time.inSeconds, 1e-9)
    return outcome
  }

  // MARK: STUN

  private func askForAddress(_ node: RelayNode) async throws -> RelayProbeOutcome {
    var addresses = [node.stunTestIP, node.ipv4, node.ipv6].compactMap { IPAddress($0) }
    if addresses.isEmpty { addresses = await NameResolver.addresses(of: node.hostName) }
    guard let address = addresses.first else {
      throw ProbeFailure("the name \(node.hostName) has no address")
    }
    let port = node.stunPort == 0 ? 3478 : UInt16(clamping: node.stunPort)
    let server = Endpoint(address, port: port)
    let outcome = await withCheckedContinuation { continuation in
      do throws(HostError) {
        _ = try DataThread(name: "probe") { continuation.resume(returning: Self.ask(server)) }
      } catch {
        continuation.resume(returning: RelayProbeOutcome.bad("\(error)"))
      }
    }
    return outcome
  }

  /// Asks, and waits for the answer; blocks.
  private static func ask(_ server: Endpoint) -> RelayProbeOutcome {
    do throws(HostError) {
      let any = server.address.isV4 ? IPAddress(0, 0, 0, 0) : IPAddress(high: 0, low: 0)
      var socket = try UDPSocket.bind(Endpoint(any, port: 0))
      var poller = try Poller()
      try poller.add(socket.rawDescriptor, token: 0)
      var batch = ReceiveBatch(capacity: 1)
      var entropy = Entropy.system
      let request = BindingRequest(transaction: TransactionID(using: &entropy))
      for _ in 0..<stunAttempts {
        let begun = MonotonicClock.now()
        let bytes = request.bytes
        // SAFETY: the bytes are read before the call returns.
        _ = unsafe bytes.withUnsafeBytes { bytes in
          unsafe socket.send(bytes, segmentSize: 0, to: server)
        }
        guard poller.wait(until: begun + .seconds(1)) > 0, socket.receive(into: &batch) > 0,
          let received = batch.train(0)
        else { continue }
        // SAFETY: the batch holds the datagram until the next receive.
        let answer = unsafe Array(UnsafeRawBufferPointer(batch.bytes(0)).prefix(received.count))
        // What is no answer to this question is a stranger's.
        guard let response = try? BindingResponse(parsing: answer),
          response.transaction == request.transaction
        else { continue }
        return .good(after: MonotonicClock.now() - begun)
      }
      return .bad("STUN at \(server) does not answer")
    } catch {
      return .bad("\(error)")
    }
  }
}
