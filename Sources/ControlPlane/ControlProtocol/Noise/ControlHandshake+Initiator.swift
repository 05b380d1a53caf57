// SPDX-License-Identifier: Apache-2.0

import Bytes
package import Cryptography
package import Keys

extension ControlHandshake {
  /// The side of the machine.
  package struct Initiator: Sendable {
    /// The message to send, 101 bytes.
    package let initiation: [UInt8]

    private let machineKey: MachinePrivateKey
    private let ephemeral: [UInt8]
    private let state: NoiseSymmetricState

    /// Begins a handshake with the server of `serverKey`.
    ///
    /// - Throws: `notAuthentic` when the server key is one that shares no secret.
    package init(
      machineKey: MachinePrivateKey,
      serverKey: MachineKey,
      version: UInt16 = UInt16(CapabilityVersion.current),
      entropy: inout Entropy
    ) throws(ControlHandshakeError) {
      try self.init(
        machineKey: machineKey,
        serverKey: serverKey,
        version: version,
        ephemeral: X25519.generate(using: &entropy)
      )
    }

    /// Begins a handshake with entropy of the system.
    package init(
      machineKey: MachinePrivateKey,
      serverKey: MachineKey,
      version: UInt16 = UInt16(CapabilityVersion.current)
    ) throws(ControlHandshakeError) {
      var entropy = Entropy.system
      try self.init(
        machineKey: machineKey,
        serverKey: serverKey,
        version: version,
        entropy: &entropy
      )
    }

    init(
      machineKey: MachinePrivateKey,
      serverKey: MachineKey,
      version: UInt16,
      ephemeral: [UInt8]
    ) throws(ControlHandshakeError) {
      var state = ControlHandshake.begin(version: version, serverKey: serverKey)
      var message = ByteWriter(capacity: ControlHandshake.initiationCount)
      message.bigEndian(version)
      message.write([Kind.initiation])
      message.bigEndian(UInt16(ControlHandshake.initiationCount - 5))

      let ephemeralPublic = X25519.publicKey(of: ephemeral)
      state.mixHash(ephemeralPublic)
      message.write(ephemeralPublic)
      guard state.mixShared(ephemeral, serverKey.bytes) else { throw .notAuthentic }
      message.write(state.encryptAndHash(machineKey.publicKey.bytes))
      guard state.mixShared(machineKey.bytes, serverKey.bytes) else { throw .notAuthentic }
      message.write(state.encryptAndHash([]))

      initiation = message.bytes
      self.machineKey = machineKey
      self.ephemeral = ephemeral
      self.state = state
    }

    /// How many bytes the message at the front of `bytes` has; nil until they tell.
    ///
    /// A response, or the text of a refusal. Bytes after it belong to the connection.
    package static func messageCount(_ bytes: [UInt8]) -> Int? {
      guard bytes.count >= 3 else { return nil }
      return 3 + Int(bytes[1]) << 8 + Int(bytes[2])
    }

    /// Ends the handshake with the server's response, 51 bytes.
    package func finish(_ response: [UInt8]) throws(ControlHandshakeError) -> ControlCipher {
      guard let kind = response.first else {
        throw .wrongLength(expected: ControlHandshake.responseCount, got: 0)
      }
      if kind == Kind.error {
        throw .refused(String(decoding: response.dropFirst(3), as: UTF8.self))
      }
      guard kind == Kind.response else { throw .unexpectedKind(kind) }
      guard response.count == ControlHandshake.responseCount else {
        throw .wrongLength(expected: ControlHandshake.responseCount, got: response.count)
      }
      guard response[1] == 0, response[2] == UInt8(ControlHandshake.responseCount - 3) else {
        throw .malformed
      }
      var state = state
      let serverEphemeral = Array(response[3..<35])
      state.mixHash(serverEphemeral)
      guard state.mixShared(ephemeral, serverEphemeral),
        state.mixShared(machineKey.bytes, serverEphemeral),
        state.decryptAndHash(Array(response[35...])) != nil
      else { throw .notAuthentic }
      let keys = state.split()
      return ControlCipher(sending: keys.initiator.bytes, receiving: keys.responder.bytes)
    }
  }
}
