// SPDX-License-Identifier: Apache-2.0

public import Addressing
internal import Bytes

/// A message between two nodes inside the tunnel: IP protocol 99.
///
/// | First byte | Rest |
/// |---|---|
/// | `!` | protocol 1, reason 1, source port 2, destination port 2, optional flags 1 |
/// | `p` | 8 bytes of the asker's choice |
/// | `o` | the same 8 bytes, port of the peer API 2 |
/// | `a` | discovery key 32 |
///
/// - Source: `Documentation/Protocols/wireguard.md`, TSMP packet formats.
public enum TSMPMessage: Hashable, Sendable {
  /// A packet was refused, and why.
  case reject(TSMPReject)
  /// Asks for a pong with the same data.
  case ping(data: UInt64)
  /// Answers a ping.
  case pong(data: UInt64, peerAPIPort: UInt16)
  /// The sender's discovery key, 32 bytes.
  case discoAdvertisement(key: [UInt8])

  /// Reads the message in `bytes`, of which `view` is the parse; nil when it is none that we know.
  public init?(_ bytes: PacketBytes, _ view: PacketView) {
    guard view.kind == .tsmp else { return nil }
    let body = bytes.slice(view.transportOffset..<view.length)
    switch body[0] {
    case UInt8(ascii: "!"):
      guard let reject = TSMPReject(body, view) else { return nil }
      self = .reject(reject)
    case UInt8(ascii: "p") where body.count >= 9: self = .ping(data: body.uint64(at: 1))
    case UInt8(ascii: "o") where body.count >= 11:
      self = .pong(data: body.uint64(at: 1), peerAPIPort: body.uint16(at: 9))
    case UInt8(ascii: "a") where body.count >= 33:
      self = .discoAdvertisement(key: body.slice(1..<33).array)
    default: return nil
    }
  }

  /// The whole packet that carries it.
  public func packet(
    from source: IPAddress,
    to destination: IPAddress,
    identification: UInt16 = 0
  ) -> [UInt8] {
    IPPacket.build(
      from: source,
      to: destination,
      proto: .tsmp,
      identification: identification,
      payload: payload
    )
  }

  private var payload: [UInt8] {
    var writer = ByteWriter(capacity: 33)
    switch self {
    case .reject(let reject): reject.write(to: &writer)
    case .ping(let data):
      writer.write([UInt8(ascii: "p")])
      writer.bigEndian(data)
    case .pong(let data, let port):
      writer.write([UInt8(ascii: "o")])
      writer.bigEndian(data)
      writer.bigEndian(port)
    case .discoAdvertisement(let key):
      precondition(key.count == 32, "a discovery key has 32 bytes")
      writer.write([UInt8(ascii: "a")])
      writer.write(key)
    }
    return writer.bytes
  }
}

/// Tells the sender of a packet that it was refused.
///
/// The packet that carries it goes the opposite way: from the refused packet's destination to its
/// source.
public struct TSMPReject: Hashable, Sendable {
  /// Why a packet was refused.
  public enum Reason: UInt8, Hashable, Sendable {
    /// No rule of the filter allows it.
    case accessRules = 0x41
    /// The node takes no connections at all.
    case shieldsUp = 0x53
    /// The node does not forward.
    case forwardingUnavailable = 0x46
    /// The firewall of the host refused it.
    case hostFirewall = 0x57
    /// The transit address belongs to no connector.
    case unknownTransitAddress = 0x54
  }

  /// The protocol of the refused packet.
  public var proto: IPProtocol
  /// Why.
  public var reason: Reason
  /// The source of the refused packet.
  public var source: Endpoint
  /// The destination of the refused packet.
  public var destination: Endpoint
  /// Whether the refusal may be the fault of a broken host rather than of a rule.
  public var maybeBroken: Bool

  /// A refusal.
  public init(
    proto: IPProtocol,
    reason: Reason,
    source: Endpoint,
    destination: Endpoint,
    maybeBroken: Bool = false
  ) {
    (self.proto, self.reason, self.maybeBroken) = (proto, reason, maybeBroken)
    (self.source, self.destination) = (source, destination)
  }

  /// The refusal of the packet that `view` describes.
  public init(of view: PacketView, reason: Reason) {
    self.init(
      proto: view.proto,
      reason: reason,
      source: Endpoint(view.source, port: view.sourcePort),
      destination: Endpoint(view.destination, port: view.destinationPort)
    )
  }

  /// The whole packet, back to where the refused one came from.
  public var packet: [UInt8] {
    TSMPMessage.reject(self).packet(from: destination.address, to: source.address)
  }

  fileprivate init?(_ body: PacketBytes, _ view: PacketView) {
    guard body.count >= 7, let reason = Reason(rawValue: body[2]) else { return nil }
    self.init(
      proto: IPProtocol(rawValue: body[1]),
      reason: reason,
      source: Endpoint(view.destination, port: body.uint16(at: 3)),
      destination: Endpoint(view.source, port: body.uint16(at: 5)),
      maybeBroken: body.count >= 8 && body[7] & 1 != 0
    )
  }

  fileprivate func write(to writer: inout ByteWriter) {
    writer.write([UInt8(ascii: "!"), proto.rawValue, reason.rawValue])
    writer.bigEndian(source.port)
    writer.bigEndian(destination.port)
    if maybeBroken { writer.write([1]) }
  }
}
