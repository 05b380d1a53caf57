// SPDX-License-Identifier: Apache-2.0

import Cryptography
import DERP
import DataPlaneDriver
import HTTPTransport
import HostIO
import Keys
import Timing

/// Something that a probe found wrong, in words.
struct ProbeFailure: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}

/// A client of one relay that only measures.
actor ProbeClient {
  /// How long connecting, and anything that is waited for, may take.
  static let timeout = Duration.seconds(5)

  nonisolated let key: NodeKey
  private let stream: ByteStream
  private var session: ClientSession
  private var packets: [[UInt8]] = []

  /// Connects to a relay, which must admit us.
  static func connect(to node: RelayNode, _ meshKey: MeshKey?) async throws -> ProbeClient {
    let stream = try await node.dial(Dialer(), timeout: timeout)
    do {
      _ = try await HTTPClient.upgrade(
        stream,
        host: node.hostField,
        path: "/derp",
        protocol: "DERP",
        timeout: timeout
      )
      let client = ProbeClient(stream, meshKey)
      try await client.becomeAdmitted()
      return client
    } catch {
      stream.abort()
      throw error
    }
  }

  private init(_ stream: ByteStream, _ meshKey: MeshKey?) {
    var entropy = Entropy.system
    let privateKey = NodePrivateKey.generate(using: &entropy)
    var effects = ClientSession.Effects()
    (self.stream, key) = (stream, privateKey.publicKey)
    session = ClientSession(
      privateKey: privateKey,
      isHome: false,
      info: ClientInfo(isProber: true, meshKey: meshKey),
      entropy: entropy,
      at: MonotonicClock.now(),
      into: &effects
    )
  }

  deinit { stream.abort() }

  /// Leaves the relay.
  nonisolated func leave() { stream.abort() }

  private func becomeAdmitted() async throws {
    let deadline = stream.abort(after: Self.timeout, because: "the relay did not admit us in time")
    defer { deadline.cancel() }
    while !session.isConnected { try await receive() }
  }

  /// Sends packets to another client, together.
  func send(_ packets: [[UInt8]], to other: NodeKey) async throws {
    var effects = ClientSession.Effects()
    for packet in packets {
      let sending = session.send(packet[...], to: other, at: MonotonicClock.now(), into: &effects)
      guard sending == .sent else { throw ProbeFailure("the relay takes no packet: \(sending)") }
    }
    try await stream.write(effects.output)
  }

  /// The next packet that came for us.
  func next() async throws -> [UInt8] {
    let deadline = stream.abort(after: Self.timeout, because: "no packet came")
    defer { deadline.cancel() }
    while packets.isEmpty { try await receive() }
    return packets.removeFirst()
  }

  private func receive() async throws {
    guard let bytes = try await stream.read() else {
      throw ProbeFailure("the relay closed the connection")
    }
    var effects = ClientSession.Effects()
    try session.receive(bytes, at: MonotonicClock.now(), into: &effects)
    for event in effects.events {
      if case .packet(_, let packet) = event { packets.append(packet) }
    }
    if !effects.output.isEmpty { try await stream.write(effects.output) }
  }
}
