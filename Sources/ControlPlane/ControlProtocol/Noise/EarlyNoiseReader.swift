// SPDX-License-Identifier: Apache-2.0

import Bytes
package import JSON

/// Why the bytes before HTTP/2 are not acceptable.
package enum EarlyNoiseError: Error, Hashable, Sendable {
  /// The payload claims to be longer than is allowed.
  case tooLarge(Int)
  /// The payload is not the JSON that it should be.
  case malformed(JSONError)
}

/// Takes the optional early payload off the front of what a server sends.
///
/// Feed it what the cipher opens, in pieces of any size; what it returns belongs to HTTP/2.
package struct EarlyNoiseReader: Sendable {
  private enum State {
    case undecided
    case reading(count: Int)
    case done
  }

  private var state = State.undecided
  private var held: [UInt8] = []

  /// The payload, once it was read; nil when there is none.
  package private(set) var payload: EarlyNoise?

  /// A reader at the beginning of a connection.
  package init() {}

  /// Whether all that follows belongs to HTTP/2.
  package var isDone: Bool { if case .done = state { true } else { false } }

  /// Takes bytes and returns those that belong to HTTP/2.
  package mutating func receive(_ bytes: [UInt8]) throws(EarlyNoiseError) -> [UInt8] {
    if isDone { return bytes }
    held += bytes
    if case .undecided = state { try decide() }
    switch state {
    case .undecided: return []
    case .done: return release(from: 0)
    case .reading(let count):
      guard held.count >= EarlyNoise.headerCount + count else { return [] }
      let json = Array(held[EarlyNoise.headerCount..<EarlyNoise.headerCount + count])
      do { payload = try EarlyNoise(json: json) } catch { throw .malformed(error) }
      state = .done
      return release(from: EarlyNoise.headerCount + count)
    }
  }

  /// A first difference from the magic tells HTTP/2; the whole header tells a payload.
  private mutating func decide() throws(EarlyNoiseError) {
    let shared = min(held.count, EarlyNoise.magic.count)
    guard held.prefix(shared) == EarlyNoise.magic.prefix(shared) else {
      state = .done
      return
    }
    guard held.count >= EarlyNoise.headerCount else { return }
    let count = held[5..<9].reduce(0) { $0 << 8 | Int($1) }
    guard count <= EarlyNoise.maximumBytes else { throw .tooLarge(count) }
    state = .reading(count: count)
  }

  private mutating func release(from start: Int) -> [UInt8] {
    let rest = Array(held[start...])
    held = []
    return rest
  }
}
