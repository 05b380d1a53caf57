// SPDX-License-Identifier: Apache-2.0

package import Compression
package import JSON

/// Why a map stream is not acceptable.
package enum MapFrameError: Error, Hashable, Sendable {
  /// A message announces more bytes than are allowed.
  case tooLarge(Int)
  /// A message is not the zstd frame that it should be, or holds too much.
  case compression(CompressionError)
  /// A message is not a map response.
  case malformed(JSONError)
}

extension MapFrameError: CustomStringConvertible {
  /// A sentence for people.
  package var description: String {
    switch self {
    case .tooLarge(let count): "a map message of \(count) bytes is too large"
    case .compression(let error): "a map message cannot be decompressed: \(error)"
    case .malformed(let error): "a map message cannot be read: \(error)"
    }
  }
}

/// Takes map responses out of a stream that comes in pieces of any size.
///
/// Feed it with `receive` and take messages with `next` until there is none.
package struct MapFrameDecoder: Sendable {
  private let isCompressed: Bool
  private let maximumBytes: Int
  private var held: [UInt8] = []
  private var position = 0
  private var keepAlive: [UInt8] = []

  /// A decoder at the beginning of a stream, of zstd frames or plain JSON.
  package init(compressed: Bool, maximumBytes: Int = MapFrame.maximumBytes) {
    isCompressed = compressed
    self.maximumBytes = maximumBytes
  }

  /// How many bytes wait for the rest of their message.
  package var heldBytes: Int { held.count - position }

  /// Takes bytes off the stream.
  package mutating func receive(_ bytes: [UInt8]) {
    if position > 0 {
      held.removeFirst(position)
      position = 0
    }
    held += bytes
  }

  /// The next whole message; nil until more bytes come.
  package mutating func next() throws(MapFrameError) -> MapResponse? {
    guard let body = try nextBody() else { return nil }
    // Signs of life are alike to the byte; most messages are signs of life.
    if !keepAlive.isEmpty, held[body].elementsEqual(keepAlive) {
      var response = MapResponse()
      response.keepAlive = true
      return response
    }
    let json = try decompressed(Array(held[body]))
    if json == MapFrame.keepAliveJSON { keepAlive = Array(held[body]) }
    do { return try MapResponse(json: json) } catch { throw .malformed(error) }
  }

  private mutating func nextBody() throws(MapFrameError) -> Range<Int>? {
    guard held.count - position >= 4 else { return nil }
    let count = held[position..<position + 4].reversed().reduce(0) { $0 << 8 | Int($1) }
    guard count <= maximumBytes else { throw .tooLarge(count) }
    let start = position + 4
    guard held.count - start >= count else { return nil }
    position = start + count
    return start..<position
  }

  private func decompressed(_ body: [UInt8]) throws(MapFrameError) -> [UInt8] {
    guard isCompressed else { return body }
    do { return try Zstandard.decompress(body, limit: maximumBytes) } catch {
      throw .compression(error)
    }
  }
}
