// SPDX-License-Identifier: Apache-2.0

import Bytes
package import Cryptography
package import Keys

extension ControlHandshake {
  /// What came of an initiation that was accepted.
  package struct Accepted: Sendable {
    /// The machine that began, proven by the handshake.
    package let machineKey: MachineKey
    /// The version of the protocol that it speaks.
    package let version: UInt16
    /// The message to send, 51 bytes.
    package let response: [UInt8]
    /// Seals and opens what follows.
    package let cipher: ControlCipher
  }

  /// The side of the server.
  package struct Responder: Sendable {
    private let privateKey: MachinePrivateKey

    /// The server of this key.
    package init(privateKey: MachinePrivateKey) { self.privateKey = privateKey }

    /// Answers an initiation, 101 bytes, with entropy of the system.
    package func accept(_ initiation: [UInt8]) throws(ControlHandshakeError) -> Accepted {
      var entropy = Entropy.system
      return try accept(initiation, entropy: &entropy)
    }

    /// Answers an initiation, 101 bytes.
    package func accept(
      _ initiation: [UInt8],
      entropy: inout Entropy
    ) throws(ControlHandshakeError) -> Accepted {
      try accept(initiation, ephemeral: X25519.generate(using: &entropy))
    }

    func accept(
      _ initiation: [UInt8],
      ephemeral: [UInt8]
    ) throws(ControlHandshakeError) -> Accepted {
      guard initiation.count == ControlHandshake.initiationCount else {
        throw .wrongLength(expected: ControlHandshake.initiationCount, got: initiation.count)
      }
      guard initiation[2] == Kind.initiation else { throw .unexpectedKind(initiation[2]) }
      guard initiation[3] == 0, initiation[4] == UInt8(ControlHandshake.initiationCount - 5) else {
        throw .malformed
      }
      let version = UInt16(initiation[0]) << 8 | UInt16(initiation[1])
      var state = ControlHandshake.begin(version: version, serverKey: privateKey.publicKey)

      let machineEphemeral = Array(initiation[5..<37])
      state.mixHash(machineEphemeral)
      guard state.mixShared(privateKey.bytes, machineEphemeral),
        let machineBytes = state.decryptAndHash(Array(initiation[37..<85])),
        let machineKey = MachineKey(bytes: machineBytes),
        state.mixShared(privateKey.bytes, machineKey.bytes),
        state.decryptAndHash(Array(initiation[85...])) != nil
      else { throw .notAuthentic }

      let ephemeralPublic = X25519.publicKey(of: ephemeral)
      state.mixHash(ephemeralPublic)
      guard state.mixShared(ephemeral, machineEphemeral),
        state.mixShared(ephemeral, machineKey.bytes)
      else { throw .notAuthentic }
      let tag = state.encryptAndHash([])
      let header = [Kind.response, 0, UInt8(ControlHandshake.responseCount - 3)]
      let keys = state.split()
      return Accepted(
        machineKey: machineKey,
        version: version,
        response: header + ephemeralPublic + tag,
        cipher: ControlCipher(sending: keys.responder.bytes, receiving: keys.initiator.bytes)
      )
    }
  }
}
