// SPDX-License-Identifier: Apache-2.0

internal import ControlProtocol
internal import JSON

/// The bytes of a map response as they go over a map stream, worked out away from any actor.
@concurrent
func encodedFrame(_ response: MapResponse, compressed: Bool) async -> [UInt8] {
  MapFrame.encode(response, compressed: compressed)
}

/// Lets a few in at a time, first come, first served.
///
/// Whole maps are large: when all nodes come back at once, they are made a few at a time, so that
/// memory stays bounded and nobody waits for ever.
actor Turnstile {
  private let places: Int
  private var inside = 0
  private var waiting: [CheckedContinuation<Void, Never>] = []
  private var first = 0

  init(places: Int) { self.places = places }

  /// Does `work` when there is a place.
  nonisolated func pass<Result: Sendable>(
    _ work: @Sendable () async throws -> Result
  ) async rethrows -> Result {
    await enter()
    do {
      let result = try await work()
      await leave()
      return result
    } catch {
      await leave()
      throw error
    }
  }

  private func enter() async {
    guard inside >= places else {
      inside += 1
      return
    }
    await withCheckedContinuation { waiting.append($0) }
  }

  private func leave() {
    guard first < waiting.count else {
      inside -= 1
      waiting = []
      first = 0
      return
    }
    let next = waiting[first]
    first += 1
    if first > 1024 {
      waiting.removeFirst(first)
      first = 0
    }
    next.resume()
  }
}
