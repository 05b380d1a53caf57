// SPDX-License-Identifier: Apache-2.0

internal import HTTPTransport
internal import Synchronization

/// Ends a machine's connection that nobody uses, so that places are not held for nothing.
///
/// A map stream is a use for as long as it lasts.
final class Idleness: Sendable {
  private struct State {
    var uses = 0
    var deadline: ByteStream.Deadline?
  }

  private let stream: ByteStream
  private let limit: Duration
  private let state: Mutex<State>

  /// Begins to wait for the first use.
  init(of stream: ByteStream, limit: Duration) {
    self.stream = stream
    self.limit = limit
    state = Mutex(State())
    state.withLock { $0.deadline = newDeadline() }
  }

  deinit { state.withLock { $0.deadline?.cancel() } }

  /// Uses the connection for one exchange, to the end of a streamed body.
  func watch(_ answer: @Sendable () async -> HTTPResponse) async -> HTTPResponse {
    begin()
    var response = await answer()
    guard case .stream(let produce) = response.body else {
      end()
      return response
    }
    response.body = .stream { writer in
      defer { self.end() }
      try await produce(writer)
    }
    return response
  }

  private func begin() {
    state.withLock { state in
      state.uses += 1
      state.deadline?.cancel()
      state.deadline = nil
    }
  }

  private func end() {
    state.withLock { state in
      state.uses -= 1
      if state.uses == 0 { state.deadline = newDeadline() }
    }
  }

  private func newDeadline() -> ByteStream.Deadline {
    stream.abort(after: limit, because: "the connection was not used")
  }
}
