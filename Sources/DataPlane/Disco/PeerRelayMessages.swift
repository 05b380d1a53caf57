// SPDX-License-Identifier: Apache-2.0

package import Addressing
package import Bytes
package import Keys

/// What the three messages of a bind handshake with a peer relay carry.
///
/// | Bytes | Field |
/// |---|---|
/// | 4 | virtual network identifier |
/// | 4 | generation of the handshake |
/// | 32 | disco key of the other client |
/// | 32 | challenge; zero in a bind |
package struct RelayBinding: Hashable, Sendable {
  /// Names the allocation at the relay.
  package var virtualNetwork: UInt32
  /// Tells handshakes of one client apart; never 0.
  package var generation: UInt32
  /// The disco key of the other client.
  package var remoteKey: DiscoKey
  /// Proves that the client receives at the address that it sends from.
  package var challenge: [UInt8]

  /// A binding; `challenge` has 32 bytes.
  package init(
    virtualNetwork: UInt32,
    generation: UInt32,
    remoteKey: DiscoKey,
    challenge: [UInt8]
  ) {
    precondition(challenge.count == 32, "a challenge has 32 bytes")
    (self.virtualNetwork, self.generation) = (virtualNetwork, generation)
    (self.remoteKey, self.challenge) = (remoteKey, challenge)
  }

  init(reading reader: inout ByteReader) throws(TruncatedError) {
    virtualNetwork = try reader.uint32()
    generation = try reader.uint32()
    remoteKey = try DiscoKey(reading: &reader)
    challenge = Array(try reader.take(32))
  }

  /// Whether it is about that network, and `other` is who its sender is to meet there.
  package func isAbout(_ network: UInt32, _ other: DiscoKey) -> Bool {
    virtualNetwork == network && remoteKey == other
  }

  func write(to writer: inout ByteWriter) {
    writer.bigEndian(virtualNetwork)
    writer.bigEndian(generation)
    writer.write(remoteKey.bytes)
    writer.write(challenge)
  }
}

/// A place at a peer relay where two clients can meet.
///
/// | Bytes | Field |
/// |---|---|
/// | 32 | disco key of the relay |
/// | 2 × 32 | disco keys of the clients |
/// | 8 | Lamport time of the allocation |
/// | 4 | virtual network identifier |
/// | 8 | nanoseconds in which both must bind |
/// | 8 | nanoseconds of silence after which it ends |
/// | n × 18 | addresses of the relay; at least one |
package struct RelayAllocation: Hashable, Sendable {
  /// The disco key of the relay.
  package var serverKey: DiscoKey
  /// The disco keys of the two clients.
  package var clientKeys: ClientKeys
  /// Grows with each allocation: the greater one is newer.
  package var lamportID: UInt64
  /// Names the allocation at the relay.
  package var virtualNetwork: UInt32
  /// Nanoseconds in which both clients must bind.
  package var bindNanoseconds: UInt64
  /// Nanoseconds of silence after which the allocation ends.
  package var steadyNanoseconds: UInt64
  /// Where the relay listens; never empty.
  package var endpoints: [Endpoint]

  /// The disco keys of the two clients of an allocation.
  package struct ClientKeys: Hashable, Sendable {
    /// The first one.
    package var first: DiscoKey
    /// The second one.
    package var second: DiscoKey

    /// Two clients.
    package init(_ first: DiscoKey, _ second: DiscoKey) {
      (self.first, self.second) = (first, second)
    }

    /// The same two, the lesser key first: one form for each pair.
    package var sorted: ClientKeys { first < second ? self : ClientKeys(second, first) }

    /// Whether one of them is `key`.
    package func contains(_ key: DiscoKey) -> Bool { first == key || second == key }

    init(reading reader: inout ByteReader) throws(TruncatedError) {
      first = try DiscoKey(reading: &reader)
      second = try DiscoKey(reading: &reader)
    }

    func write(to writer: inout ByteWriter) {
      writer.write(first.bytes)
      writer.write(second.bytes)
    }
  }

  /// An allocation.
  package init(
    serverKey: DiscoKey,
    clientKeys: ClientKeys,
    lamportID: UInt64,
    virtualNetwork: UInt32,
    bindNanoseconds: UInt64,
    steadyNanoseconds: UInt64,
    endpoints: [Endpoint]
  ) {
    (self.serverKey, self.clientKeys, self.lamportID) = (serverKey, clientKeys, lamportID)
    (self.virtualNetwork, self.endpoints) = (virtualNetwork, endpoints)
    (self.bindNanoseconds, self.steadyNanoseconds) = (bindNanoseconds, steadyNanoseconds)
  }

  init(reading reader: inout ByteReader) throws(TruncatedError) {
    serverKey = try DiscoKey(reading: &reader)
    clientKeys = try ClientKeys(reading: &reader)
    lamportID = try reader.uint64()
    virtualNetwork = try reader.uint32()
    bindNanoseconds = try reader.uint64()
    steadyNanoseconds = try reader.uint64()
    endpoints = [try Endpoint(reading: &reader)]
    while !reader.isAtEnd { endpoints.append(try Endpoint(reading: &reader)) }
  }

  func write(to writer: inout ByteWriter) {
    writer.write(serverKey.bytes)
    clientKeys.write(to: &writer)
    writer.bigEndian(lamportID)
    writer.bigEndian(virtualNetwork)
    writer.bigEndian(bindNanoseconds)
    writer.bigEndian(steadyNanoseconds)
    for endpoint in endpoints { writer.write(endpoint.discoveryBytes) }
  }
}

extension DiscoKey {
  /// The next 32 bytes.
  package init(reading reader: inout ByteReader) throws(TruncatedError) {
    guard let key = DiscoKey(bytes: try reader.take(32)) else {
      preconditionFailure("32 bytes make a disco key")
    }
    self = key
  }
}
