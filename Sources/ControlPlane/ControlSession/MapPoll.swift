// SPDX-License-Identifier: Apache-2.0

package import ControlProtocol
package import Keys
package import Timing

/// Why a map stream is over.
package enum MapPollError: Error, Hashable, Sendable {
  /// It carries what is no map.
  case frame(MapFrameError)
  /// Its first map says nothing of this node.
  case firstMapLacksNode
  /// Its first map is that of a node with another key.
  case otherNode(NodeKey)
  /// It ended in the middle of a message.
  case truncated(missing: String)
  /// It ended before there was a map.
  case ended
  /// Nothing was heard for too long.
  case silent
}

extension MapPollError: CustomStringConvertible {
  /// A sentence for people.
  package var description: String {
    switch self {
    case .frame(let error): "\(error)"
    case .firstMapLacksNode: "the first map says nothing of this node"
    case .otherNode(let key): "the map is that of the node \(key.short)"
    case .truncated(let missing): "the map stream ended \(missing)"
    case .ended: "the map stream ended before the first map"
    case .silent: "the map stream was silent for \(MapPoll.longestSilence.components.seconds) s"
    }
  }
}

/// One map stream as it comes in.
///
/// Made when the request goes out. The stream is over when `receive` or `finish` throws, or when
/// `deadline` passes: only whole messages put it off, so that a trickle of bytes does not keep a dead
/// stream open.
///
/// - Source: `Documentation/Protocols/control.md`, network maps.
package struct MapPoll: Sendable {
  /// How long a stream, or the answer to the request, may say nothing.
  package static let longestSilence = Duration.seconds(120)

  /// When the stream is given up.
  package private(set) var deadline: Instant
  /// Whether the first map has come.
  package private(set) var hasMap = false
  /// What a later stream may resume; nil when the server does not offer it.
  package private(set) var resumption: MapResumption?
  /// How many messages have come, signs of life included.
  package private(set) var messages = 0
  /// How many of them were signs of life only.
  package private(set) var keepAlives = 0

  private let nodeKey: NodeKey
  private var decoder: MapFrameDecoder
  private var failure: MapPollError?

  /// A stream that was asked for just now.
  ///
  /// - Parameters:
  ///   - nodeKey: The key that asked.
  ///   - compressed: Whether zstd was asked for.
  ///   - maximumBytes: How large a message may be, compressed or not.
  ///   - now: When the request went out.
  package init(
    as nodeKey: NodeKey,
    compressed: Bool = true,
    maximumBytes: Int = MapFrame.maximumBytes,
    at now: Instant
  ) {
    self.nodeKey = nodeKey
    decoder = MapFrameDecoder(compressed: compressed, maximumBytes: maximumBytes)
    deadline = now + Self.longestSilence
  }

  /// Whether the stream has been silent for too long.
  package func isSilent(at now: Instant) -> Bool { now >= deadline }

  /// Takes bytes of the body.
  ///
  /// - Parameters:
  ///   - bytes: As many as have come.
  ///   - now: When they came.
  /// - Returns: The messages that are complete with them; signs of life only when they carry more.
  /// - Throws: Why the stream is over; once it has, always.
  package mutating func receive(
    _ bytes: [UInt8],
    at now: Instant
  ) throws(MapPollError) -> [MapResponse] {
    if let failure { throw failure }
    decoder.receive(bytes)
    var responses: [MapResponse] = []
    do {
      while let response = try next() {
        deadline = now + Self.longestSilence
        messages += 1
        try admit(response)
        if response == Self.signOfLife { keepAlives += 1 } else { responses.append(response) }
      }
    } catch {
      // What came before is whole and told first; the failure is told with the next call.
      failure = error
      if responses.isEmpty { throw error }
    }
    return responses
  }

  /// Tells that the body has ended.
  ///
  /// - Throws: Why that is not an end to be content with.
  package func finish() throws(MapPollError) {
    if let failure { throw failure }
    let held = decoder.heldBytes
    if held > 0 { throw .truncated(missing: "\(held) bytes into a message") }
    if !hasMap { throw .ended }
  }

  private static let signOfLife: MapResponse = {
    var response = MapResponse()
    response.keepAlive = true
    return response
  }()

  private mutating func next() throws(MapPollError) -> MapResponse? {
    do { return try decoder.next() } catch { throw .frame(error) }
  }

  private mutating func admit(_ response: MapResponse) throws(MapPollError) {
    if !response.mapSessionHandle.isEmpty {
      resumption = MapResumption(handle: response.mapSessionHandle, sequence: response.seq)
    } else if response.seq > 0 {
      resumption?.sequence = response.seq
    }
    guard !hasMap, !response.keepAlive else { return }
    guard let node = response.node else { throw .firstMapLacksNode }
    guard node.key == nodeKey else { throw .otherNode(node.key) }
    hasMap = true
  }
}

/// Where a stream stood, for a later one to go on from.
package struct MapResumption: Hashable, Sendable {
  /// The name of the stream.
  package var handle: String
  /// The last message that was seen.
  package var sequence: Int64

  /// The place after message `sequence` of the stream `handle`.
  package init(handle: String, sequence: Int64) {
    (self.handle, self.sequence) = (handle, sequence)
  }
}
