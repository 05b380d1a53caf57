// SPDX-License-Identifier: Apache-2.0

/// Takes the chunks of a body apart, in pieces of any size.
///
/// - Source: RFC 9112 §7.1.
package struct ChunkDecoder: Hashable, Sendable {
  private enum State: Hashable {
    case size
    case data(left: Int)
    case dataEnd
    case trailer
    case done
  }

  /// The longest line that announces a chunk, its extensions included.
  package static let maximumLineBytes = 4096
  /// The most bytes of fields after the last chunk; they are read and dropped.
  package static let maximumTrailerBytes = 16 * 1024

  private var state = State.size
  private var line: [UInt8] = []
  private var trailerBytes = 0

  /// A decoder at the start of a body.
  package init() {}

  /// Whether the body is whole.
  package var isDone: Bool { state == .done }

  /// Takes bytes off the front of `bytes` until they are used up or the body ends.
  ///
  /// - Returns: What belongs to the body.
  package mutating func decode(
    _ bytes: inout ArraySlice<UInt8>
  ) throws(MessageHead.Refusal) -> [UInt8] {
    var body: [UInt8] = []
    while state != .done, !bytes.isEmpty {
      if case .data(let left) = state {
        let piece = bytes.prefix(left)
        body += piece
        bytes = bytes.dropFirst(piece.count)
        state = piece.count == left ? .dataEnd : .data(left: left - piece.count)
      } else if let line = try takeLine(&bytes) {
        try handle(line)
      }
    }
    return body
  }

  private mutating func handle(_ line: [UInt8]) throws(MessageHead.Refusal) {
    switch state {
    case .size:
      let size = try Self.size(line)
      state = size == 0 ? .trailer : .data(left: size)
    case .dataEnd:
      guard line.isEmpty else { throw .malformed("a chunk is longer than it said") }
      state = .size
    case .trailer: if line.isEmpty { state = .done }
    case .data, .done: preconditionFailure("a line in the middle of a chunk")
    }
  }

  /// The next line without its CR LF; nil when it is not whole yet.
  private mutating func takeLine(
    _ bytes: inout ArraySlice<UInt8>
  ) throws(MessageHead.Refusal) -> [UInt8]? {
    while let byte = bytes.popFirst() {
      if state == .trailer {
        trailerBytes += 1
        guard trailerBytes <= Self.maximumTrailerBytes else { throw .tooLarge }
      }
      guard byte == UInt8(ascii: "\n") else {
        guard line.count < Self.maximumLineBytes else { throw .tooLarge }
        line.append(byte)
        continue
      }
      guard line.last == UInt8(ascii: "\r") else { throw .malformed("a chunk line has a bare LF") }
      defer { line = [] }
      return Array(line.dropLast())
    }
    return nil
  }

  private static func size(_ line: [UInt8]) throws(MessageHead.Refusal) -> Int {
    let digits = line.prefix { $0 != UInt8(ascii: ";") && $0 != UInt8(ascii: " ") }
    guard (1...15).contains(digits.count),
      let size = Int(String(decoding: digits, as: UTF8.self), radix: 16),
      digits.first != UInt8(ascii: "-"), digits.first != UInt8(ascii: "+")
    else { throw .malformed("the size of a chunk is not a number") }
    return size
  }
}
