// SPDX-License-Identifier: Apache-2.0

import Magicsock
import PacketPipeline
import Synchronization

/// Who waits for which answer of the data thread.
final class Questions: Sendable {
  typealias PingAnswer = Result<PingReply, PingFailure>

  private struct Waiting<Answer: Sendable> {
    var continuation: CheckedContinuation<Answer, Never>
    var timer: Task<Void, Never>

    func resume(_ answer: Answer) {
      timer.cancel()
      continuation.resume(returning: answer)
    }
  }

  private struct State {
    var nextID: UInt64 = 1
    var pings: [UInt64: Waiting<PingAnswer>] = [:]
    var netchecks: [UInt64: Waiting<NetcheckReport?>] = [:]
    var isClosed = false

    mutating func newID() -> UInt64 {
      defer { nextID += 1 }
      return nextID
    }
  }

  private let state = Mutex(State())

  /// Asks `send` to ping under a number, and waits for the answer to that number.
  func ping(timeout: Duration, _ send: @Sendable (UInt64) -> Void) async -> PingAnswer {
    await withCheckedContinuation { continuation in
      let id = state.withLock { state -> UInt64? in
        guard !state.isClosed else { return nil }
        let id = state.newID()
        let timer = after(timeout) { $0.answer(id, .failure(.timedOut)) }
        state.pings[id] = Waiting(continuation: continuation, timer: timer)
        return id
      }
      guard let id else { return continuation.resume(returning: .failure(.timedOut)) }
      send(id)
    }
  }

  /// Asks `send` for a netcheck and waits for the next report.
  func netcheck(timeout: Duration, _ send: @Sendable () -> Void) async -> NetcheckReport? {
    await withCheckedContinuation { continuation in
      let isOpen = state.withLock { state in
        guard !state.isClosed else { return false }
        let id = state.newID()
        let timer = after(timeout) { $0.giveUpNetcheck(id) }
        state.netchecks[id] = Waiting(continuation: continuation, timer: timer)
        return true
      }
      guard isOpen else { return continuation.resume(returning: nil) }
      send()
    }
  }

  /// Answers a ping; an answer that nobody waits for is forgotten.
  func answer(_ id: UInt64, _ answer: PingAnswer) {
    state.withLock { $0.pings.removeValue(forKey: id) }?.resume(answer)
  }

  /// Answers everybody who waits for a netcheck.
  func answer(_ report: NetcheckReport) {
    let waiting = state.withLock { state in
      defer { state.netchecks = [:] }
      return state.netchecks.values
    }
    for one in waiting { one.resume(report) }
  }

  /// Tells everybody that there will be no answer.
  func close() {
    let (pings, netchecks) = state.withLock { state in
      state.isClosed = true
      defer { (state.pings, state.netchecks) = ([:], [:]) }
      return (state.pings.values, state.netchecks.values)
    }
    for one in pings { one.resume(.failure(.timedOut)) }
    for one in netchecks { one.resume(nil) }
  }

  private func after(
    _ timeout: Duration,
    _ act: @escaping @Sendable (Questions) -> Void
  ) -> Task<Void, Never> {
    Task { [weak self] in
      do { try await Task.sleep(for: timeout) } catch { return }
      if let self { act(self) }
    }
  }

  private func giveUpNetcheck(_ id: UInt64) {
    state.withLock { $0.netchecks.removeValue(forKey: id) }?.resume(nil)
  }
}
