// SPDX-License-Identifier: Apache-2.0

public import Addressing
import Cryptography
public import Keys
public import Timing

/// What a tunnel is told about a peer.
public struct PeerConfiguration: Hashable, Sendable {
  /// The peer's static key.
  public var publicKey: NodeKey
  /// Which addresses it may send from, and which packets go to it.
  public var allowedIPs: [IPPrefix]
  /// A secret of 32 bytes that both know besides; nil for none.
  public var presharedKey: [UInt8]?
  /// How often to send something even when idle; nil for never.
  public var persistentKeepalive: Duration?

  /// A peer.
  ///
  /// - Precondition: the pre-shared key, if any, has 32 bytes.
  public init(
    publicKey: NodeKey,
    allowedIPs: [IPPrefix],
    presharedKey: [UInt8]? = nil,
    persistentKeepalive: Duration? = nil
  ) {
    precondition(presharedKey?.count ?? 32 == 32, "a pre-shared key has 32 bytes")
    (self.publicKey, self.allowedIPs) = (publicKey, allowedIPs)
    (self.presharedKey, self.persistentKeepalive) = (presharedKey, persistentKeepalive)
  }

  /// The secret as the handshake mixes it in.
  var effectivePresharedKey: Bytes32 { presharedKey.flatMap { Bytes32($0) } ?? Bytes32() }
}

extension PeerConfiguration: CustomStringConvertible, CustomReflectable {
  /// The peer's key and addresses, nothing of its secret.
  public var description: String { "\(publicKey.short) \(allowedIPs)" }
  /// The peer's key and addresses, nothing of its secret.
  public var customMirror: Mirror {
    Mirror(self, children: ["publicKey": publicKey, "allowedIPs": allowedIPs])
  }
}

/// How a peer is doing.
public struct PeerStatus: Hashable, Sendable {
  /// When the last handshake was completed.
  public var lastHandshake: Timestamp?
  /// Bytes of transport messages received.
  public var bytesReceived: UInt64
  /// Bytes of transport messages sent.
  public var bytesSent: UInt64
}
