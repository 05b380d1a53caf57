// SPDX-License-Identifier: Apache-2.0

public import Addressing
public import Keys

/// What a relay and its clients say to each other.
///
///     | kind (1) | length of the payload (4, big-endian) | payload |
///
/// - Source: `Documentation/Protocols/derp.md`, frames.
public enum Frame: Hashable, Sendable {
  /// The relay's key; the first frame of a connection.
  case serverKey(NodeKey)
  /// Who the client is, and a sealed description of it.
  case clientInfo(NodeKey, sealed: [UInt8])
  /// A sealed description of the relay: the client is admitted.
  case serverInfo(sealed: [UInt8])
  /// A packet for another client.
  case sendPacket(to: NodeKey, [UInt8])
  /// A packet from another client.
  case receivePacket(from: NodeKey, [UInt8])
  /// A sign of life from the relay.
  case keepAlive
  /// Whether this relay is the client's home.
  case notePreferred(Bool)
  /// A client is not here, or no longer.
  case peerGone(NodeKey, PeerGoneReason)
  /// A client is here; for relays of one mesh.
  case peerPresent(NodeKey, Endpoint?, flags: UInt8)
  /// A packet passed on by a relay of the same mesh.
  case forwardPacket(from: NodeKey, to: NodeKey, [UInt8])
  /// Asks to be told of every client; for relays of one mesh.
  case watchConnections
  /// Asks to close a client's connections; for relays of one mesh.
  case closePeer(NodeKey)
  /// Asks for a pong with the same eight bytes.
  case ping(UInt64)
  /// Answers a ping.
  case pong(UInt64)
  /// What is wrong with the connection, as the relay sees it; empty when nothing is.
  case health(String)
  /// The relay is about to restart: when to connect again, and for how long to try.
  case restarting(reconnectIn: Duration, tryFor: Duration)

  /// The kinds by their first byte.
  public enum Kind: UInt8, Hashable, Sendable, CaseIterable {
    case serverKey = 0x01
    case clientInfo = 0x02
    case serverInfo = 0x03
    case sendPacket = 0x04
    case receivePacket = 0x05
    case keepAlive = 0x06
    case notePreferred = 0x07
    case peerGone = 0x08
    case peerPresent = 0x09
    case forwardPacket = 0x0A
    case watchConnections = 0x10
    case closePeer = 0x11
    case ping = 0x12
    case pong = 0x13
    case health = 0x14
    case restarting = 0x15
  }

  /// The bytes before the payload.
  public static let headerSize = 5
  /// The longest packet that a relay carries.
  public static let maximumPacketSize = 65_536
  /// The version of the protocol.
  public static let protocolVersion = 2
}

/// Why a client is not here.
public struct PeerGoneReason: Hashable, Sendable, RawRepresentable {
  /// The byte on the wire.
  public let rawValue: UInt8

  /// The reason of that byte; ones we do not know are kept.
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// It was here and has left.
  public static let disconnected = PeerGoneReason(rawValue: 0)
  /// It is not connected to this relay.
  public static let notHere = PeerGoneReason(rawValue: 1)
}

/// Why bytes are not frames.
public enum FrameError: Error, Hashable, Sendable {
  /// A frame of a kind that may not be so long.
  case tooLong(kind: UInt8, length: Int)
  /// A frame of a kind that must be longer.
  case tooShort(kind: UInt8, length: Int)
  /// The first frame is not of a relay: the magic bytes are missing.
  case badMagic
}
