// SPDX-License-Identifier: Apache-2.0

import Bytes

/// Why a plaintext is not a discovery message.
package enum DiscoError: Error, Hashable, Sendable {
  /// A field is longer than what is left.
  case truncated(needed: Int, got: Int)
  /// A type that is not in the list.
  case unknownType(UInt8)
}

/// What nodes say to each other to find a path.
///
/// The plaintext is a type, a version (always 0) and a body; extra bytes after a body are ignored.
///
/// - Source: `Documentation/Protocols/disco.md`, envelope.
package enum Message: Hashable, Sendable {
  /// Answer to where this came from.
  case ping(Ping)
  /// The answer.
  case pong(Pong)
  /// Ping me at these addresses.
  case callMeMaybe(CallMeMaybe)
  /// To a peer relay: this is where I receive.
  case bind(RelayBinding)
  /// From a peer relay: prove it.
  case bindChallenge(RelayBinding)
  /// To a peer relay: the proof.
  case bindAnswer(RelayBinding)
  /// Meet me at this peer relay.
  case callMeMaybeVia(RelayAllocation)
  /// To a peer relay: give these two clients a place to meet.
  case allocate(RelayAllocation.ClientKeys, generation: UInt32)
  /// From a peer relay: here it is.
  case allocated(RelayAllocation, generation: UInt32)

  /// The message in an opened envelope.
  package init(parsing plaintext: [UInt8]) throws(DiscoError) {
    var unknown: UInt8?
    do throws(TruncatedError) {
      var reader = ByteReader(plaintext)
      let type = try reader.uint8()
      let version = try reader.uint8()
      if let message = try Self.read(type, version: version, from: &reader) {
        self = message
        return
      }
      unknown = type
    } catch {
      throw .truncated(needed: error.needed, got: error.got)
    }
    throw .unknownType(unknown ?? 0)
  }

  /// The plaintext to seal.
  package var bytes: [UInt8] {
    var writer = ByteWriter(capacity: 64)
    writer.write([type, 0])
    switch self {
    case .ping(let ping): ping.write(to: &writer)
    case .pong(let pong): pong.write(to: &writer)
    case .callMeMaybe(let call): call.write(to: &writer)
    case .bind(let binding), .bindChallenge(let binding), .bindAnswer(let binding):
      binding.write(to: &writer)
    case .callMeMaybeVia(let allocation): allocation.write(to: &writer)
    case .allocate(let clients, let generation):
      clients.write(to: &writer)
      writer.bigEndian(generation)
    case .allocated(let allocation, let generation):
      writer.bigEndian(generation)
      allocation.write(to: &writer)
    }
    return writer.bytes
  }

  private static func read(
    _ type: UInt8,
    version: UInt8,
    from reader: inout ByteReader
  ) throws(TruncatedError) -> Message? {
    switch type {
    case 1: .ping(try Ping(reading: &reader))
    case 2: .pong(try Pong(reading: &reader))
    case 3: .callMeMaybe(try CallMeMaybe(reading: &reader, version: version))
    case 4: .bind(try RelayBinding(reading: &reader))
    case 5: .bindChallenge(try RelayBinding(reading: &reader))
    case 6: .bindAnswer(try RelayBinding(reading: &reader))
    case 7: .callMeMaybeVia(try RelayAllocation(reading: &reader))
    case 8:
      .allocate(
        try RelayAllocation.ClientKeys(reading: &reader),
        generation: try reader.uint32()
      )
    case 9: try readAllocated(from: &reader)
    default: nil
    }
  }

  private static func readAllocated(
    from reader: inout ByteReader
  ) throws(TruncatedError) -> Message {
    let generation = try reader.uint32()
    return .allocated(try RelayAllocation(reading: &reader), generation: generation)
  }

  private var type: UInt8 {
    switch self {
    case .ping: 1
    case .pong: 2
    case .callMeMaybe: 3
    case .bind: 4
    case .bindChallenge: 5
    case .bindAnswer: 6
    case .callMeMaybeVia: 7
    case .allocate: 8
    case .allocated: 9
    }
  }
}
