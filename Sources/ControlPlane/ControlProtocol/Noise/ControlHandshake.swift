// SPDX-License-Identifier: Apache-2.0

import Bytes
import Cryptography
import Keys

/// Why a handshake failed.
package enum ControlHandshakeError: Error, Hashable, Sendable {
  /// A message is not as long as it must be.
  case wrongLength(expected: Int, got: Int)
  /// A message of another kind came.
  case unexpectedKind(UInt8)
  /// The header announces another length than the message has.
  case malformed
  /// The other side does not hold the key that it must, or the message was altered.
  case notAuthentic
  /// The other side says why it refuses, not authenticated.
  case refused(String)
}

extension ControlHandshakeError: CustomStringConvertible {
  /// A sentence for people.
  package var description: String {
    switch self {
    case .wrongLength(let expected, let got):
      "the handshake message has \(got) bytes instead of \(expected)"
    case .unexpectedKind(let kind): "a message of kind \(kind) came in the handshake"
    case .malformed: "the handshake message is malformed"
    case .notAuthentic: "the other side does not hold the expected key"
    case .refused(let reason): "the other side refused the handshake: \(reason)"
    }
  }
}

/// The handshake that begins a control connection: Noise IK between machine and server key.
///
///     initiation   version (2) · kind 1 · length 96 (2) · ephemeral (32) · machine key (48) · tag (16)
///     response     kind 2 · length 48 (2) · ephemeral (32) · tag (16)
///     error        kind 3 · length (2) · text
///
/// Integers are big-endian. The version is hashed first, so that nobody can alter it unnoticed.
///
/// - Source: The Noise Protocol Framework, revision 34, pattern IK;
///   `Documentation/Protocols/control.md`, the Noise connection.
package enum ControlHandshake {
  /// The value of the HTTP header `Upgrade`.
  package static let upgradeProtocol = "tailscale-control-protocol"
  /// The HTTP header that carries the initiation in base64.
  package static let headerName = "X-Tailscale-Handshake"
  /// How long an initiation is.
  package static let initiationCount = 101
  /// How long a response is.
  package static let responseCount = 51

  static let protocolName = "Noise_IK_25519_ChaChaPoly_BLAKE2s"
  static let prologue = "Tailscale Control Protocol v"

  enum Kind {
    static let initiation: UInt8 = 1
    static let response: UInt8 = 2
    static let error: UInt8 = 3
    static let record: UInt8 = 4
  }

  static func begin(version: UInt16, serverKey: MachineKey) -> NoiseSymmetricState {
    var state = NoiseSymmetricState(protocolName: protocolName)
    state.mixHash(Array((prologue + String(version)).utf8))
    state.mixHash(serverKey.bytes)
    return state
  }

  /// The message that refuses a handshake, for people.
  package static func refusal(_ reason: String) -> [UInt8] {
    let text = Array(reason.utf8.prefix(1024))
    return [Kind.error, UInt8(text.count >> 8), UInt8(truncatingIfNeeded: text.count)] + text
  }
}

/// A control connection begins once: its handshake may handle arrays.
extension NoiseSymmetricState {
  /// Mixes in what two keys share; false when a key is of small order.
  mutating func mixShared(_ privateKey: [UInt8], _ publicKey: [UInt8]) -> Bool {
    guard let privateKey = Bytes32(privateKey), let publicKey = Bytes32(publicKey),
      let secret = X25519.sharedSecret(private: privateKey, public: publicKey)
    else { return false }
    mixKey(secret)
    return true
  }

  mutating func mixHash(_ data: [UInt8]) { mixHash(data.span) }

  mutating func encryptAndHash(_ plaintext: [UInt8]) -> [UInt8] {
    var sealed: [UInt8] = []
    encryptAndHash(plaintext.span, appendingTo: &sealed)
    return sealed
  }

  mutating func decryptAndHash(_ sealed: [UInt8]) -> [UInt8]? {
    decryptAndHash(sealed.span) { plaintext in
      plaintext.indices.map { plaintext[$0] }
    }
  }
}
