// SPDX-License-Identifier: Apache-2.0

import Bytes
import ControlProtocol
package import HTTPTransport
import JSON
package import Keys

/// Opens conversations with one coordination server.
///
/// The server's key is learned once, over a connection whose certificate is checked; every later
/// connection is trusted because Noise proves that key.
package struct ControlDialer: Sendable {
  /// How long one attempt to get through may take.
  static let timeout = Duration.seconds(10)
  /// How long the first door is tried alone.
  static let headStart = Duration.milliseconds(500)

  private let server: ServerURL
  private let machineKey: MachinePrivateKey
  private let dialer: Dialer

  /// A dialer of this machine to this server; its packets carry `mark`, so that they never enter
  /// the tunnel, and go through the proxies that were set.
  package init(
    to server: ServerURL,
    as machineKey: MachinePrivateKey,
    mark: UInt32,
    proxies: ProxySettings = ProxySettings()
  ) {
    self.server = server
    self.machineKey = machineKey
    dialer = Dialer(mark: mark, proxies: proxies)
  }

  /// Asks for the server's key.
  ///
  /// - Throws: `NodeError` of code `control` when it does not answer, or answers something else.
  package func serverKey() async throws -> MachineKey {
    let address = "\(server)/key?v=\(CapabilityVersion.current)"
    let response = try await HTTPClient(dialer: dialer, timeout: Self.timeout).request(url: address)
    let body = try await response.collect(upTo: ServerKeys.maximumBytes)
    guard response.status == 200 else {
      throw NodeError(
        .control,
        "\(server) answered \(response.status) when asked for its key",
        hint: "Is it a coordination server?"
      )
    }
    guard let keys = try? ServerKeys(json: body), !keys.publicKey.isZero else {
      // Whatever is wrong with the text, it is no key of a coordination server.
      throw NodeError(
        .control,
        "\(server) told no key",
        hint: "It is too old, or not a coordination server."
      )
    }
    return keys.publicKey
  }

  /// Opens a conversation: the first door that opens wins.
  ///
  /// - Parameters:
  ///   - key: The server's key.
  ///   - onlyTLS: Leaves plain HTTP out, after an attempt moments ago failed over it.
  /// - Returns: The conversation, over which any number of requests may go.
  /// - Throws: `HTTPTransportError` or `ControlHandshakeError` of the last door.
  package func connect(proving key: MachineKey, onlyTLS: Bool) async throws -> HTTP2Connection {
    try await withThrowingTaskGroup(of: HTTP2Connection.self) { group in
      for (index, door) in server.doors(onlyTLS: onlyTLS).enumerated() {
        group.addTask {
          try await Task.sleep(for: Self.headStart * index)
          return try await enter(door, proving: key)
        }
      }
      var failure: (any Error)?
      while let result = await group.nextResult() {
        switch result {
        case .success(let connection):
          group.cancelAll()
          while let late = await group.nextResult() {
            if case .success(let spare) = late { await spare.close() }
          }
          return connection
        case .failure(let error): failure = error
        }
      }
      throw failure ?? CancellationError()
    }
  }

  private func enter(
    _ door: HTTPClient.Target,
    proving key: MachineKey
  ) async throws -> HTTP2Connection {
    let initiator = try ControlHandshake.Initiator(machineKey: machineKey, serverKey: key)
    let stream = try await HTTPClient(dialer: dialer, timeout: Self.timeout).dial(door)
    do {
      _ = try await HTTPClient.upgrade(
        stream,
        method: "POST",
        host: server.url.hostField,
        path: "/ts2021",
        headers: ["X-Tailscale-Handshake": Base64.encode(initiator.initiation)],
        protocol: ControlHandshake.upgradeProtocol,
        timeout: Self.timeout
      )
      let deadline = stream.abort(after: Self.timeout, because: "\(server) did not finish in time")
      defer { deadline.cancel() }
      let cipher = try initiator.finish(try await response(from: stream))
      return try await HTTP2Connection.client(over: stream, cipher: PastEarlyNoise(cipher))
    } catch {
      stream.abort()
      throw error
    }
  }

  /// Reads the server's handshake message and leaves what follows on the stream.
  private func response(from stream: ByteStream) async throws -> [UInt8] {
    var bytes: [UInt8] = []
    while true {
      if let count = ControlHandshake.Initiator.messageCount(bytes), bytes.count >= count {
        stream.unread(Array(bytes[count...]))
        return Array(bytes[..<count])
      }
      guard let more = try await stream.read() else {
        throw HTTPTransportError(.closed, "\(server) closed the connection during the handshake")
      }
      bytes += more
    }
  }
}

/// A cipher that swallows what a server may say before HTTP/2 begins.
struct PastEarlyNoise: RecordCipher {
  private var cipher: ControlCipher
  private var early = EarlyNoiseReader()

  init(_ cipher: ControlCipher) { self.cipher = cipher }

  mutating func seal(_ plaintext: [UInt8]) throws -> [UInt8] { try cipher.seal(plaintext) }

  mutating func open(_ ciphertext: [UInt8]) throws -> [UInt8] {
    try early.receive(try cipher.open(ciphertext))
  }
}
