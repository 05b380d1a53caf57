// SPDX-License-Identifier: Apache-2.0

import HTTPTransport
import JSON
import LocalAPI
import Testing
import Timing

@testable import NodeAPIs

@Suite("Watching the bus")
struct WatchTests {
  private func engine() -> Notification {
    var message = Notification()
    message.engine = EngineStatus()
    return message
  }

  private func state(_ state: BackendState) -> Notification {
    var message = Notification()
    message.state = state
    return message
  }

  @Test("The first message carries the session, the next does not")
  func session() {
    var filter = WatchFilter([.initialState], sessionID: "0123456789abcdef")
    #expect(filter.admit(state(.running), at: .origin)?.sessionID == "0123456789abcdef")
    #expect(filter.admit(state(.stopped), at: .origin)?.sessionID == "")
  }

  @Test("Counters go only to those who asked for them")
  func counters() {
    var plain = WatchFilter([], sessionID: "")
    #expect(plain.admit(engine(), at: .origin) == nil)
    var curious = WatchFilter([.engineUpdates], sessionID: "")
    #expect(curious.admit(engine(), at: .origin) != nil)
  }

  @Test("Peers that change go only to those who asked for them")
  func peers() {
    var message = state(.running)
    message.peersRemoved = [7]
    var plain = WatchFilter([], sessionID: "")
    #expect(plain.admit(message, at: .origin)?.peersRemoved == nil)
    var curious = WatchFilter([.peerChanges], sessionID: "")
    #expect(curious.admit(message, at: .origin)?.peersRemoved == [7])
  }

  @Test("Warnings lose their action unless it was asked for")
  func actions() {
    var warning = HealthWarning(code: "c", severity: .high, title: "t", text: "It broke.")
    warning.primaryAction = HealthAction()
    warning.primaryAction?.label = "Mend"
    warning.primaryAction?.url = "https://a"
    var message = Notification()
    message.health = HealthState()
    message.health?.warnings["c"] = warning
    var plain = WatchFilter([], sessionID: "")
    let told = plain.admit(message, at: .origin)?.health?.warnings["c"]
    #expect(told?.text == "It broke. Mend: https://a")
    #expect(told?.primaryAction == nil)
    var curious = WatchFilter([.healthActions], sessionID: "")
    #expect(curious.admit(message, at: .origin)?.health?.warnings["c"] == warning)
  }

  @Test("What may wait comes at most every three seconds, the newest of it")
  func rate() {
    var filter = WatchFilter([.rateLimit, .engineUpdates], sessionID: "")
    #expect(filter.admit(engine(), at: .origin) != nil)
    var newest = engine()
    newest.engine?.receivedBytes = 9
    #expect(filter.admit(engine(), at: .origin + .seconds(1)) == nil)
    #expect(filter.admit(newest, at: .origin + .seconds(2)) == nil)
    #expect(filter.deadline == .origin + .seconds(3))
    #expect(filter.release(at: .origin + .milliseconds(2999)) == nil)
    #expect(filter.release(at: .origin + .seconds(3))?.engine?.receivedBytes == 9)
    #expect(filter.deadline == nil)
    #expect(filter.admit(state(.stopped), at: .origin + .milliseconds(3001)) != nil)
  }

  @Test("A watcher that falls behind is told so and let go")
  func behind() async throws {
    let queue = WatcherQueue(WatchFilter([], sessionID: ""))
    for _ in 0..<LocalAPIHandler.maximumWaitingMessages { #expect(queue.add(state(.running))) }
    #expect(!queue.add(state(.stopped)))
    #expect(!queue.add(state(.stopped)))
    let sent = Recorder()
    try await queue.drain(to: HTTPBodyWriter { await sent.append($0) })
    let lines = await sent.lines
    #expect(lines.count == 1)
    #expect(
      try Notification(json: lines[0]).errorMessage
        == "IPN bus consumer fell behind; closing watch"
    )
  }

  @Test("Masks that cannot be served are refused", arguments: ["65536", "8448", "-1", "x", "0x1"])
  func masks(text: String) async {
    let answer = await handler(FakeNode()).respond(to: request("GET", "watch-ipn-bus?mask=" + text))
    #expect(answer.status == 400)
  }

  private actor Recorder {
    var lines: [[UInt8]] = []
    func append(_ line: [UInt8]) { lines.append(line) }
  }
}
