// SPDX-License-Identifier: Apache-2.0

import ControlSession
import TestSupport
import Testing
import Timing

@Suite("Answers that refuse")
struct ServerRefusalTests {
  static let now = sure(Timestamp("2026-11-22T08:49:00Z"))

  static func refusal(
    _ status: Int,
    _ body: String = "",
    retryAfter: String? = nil,
    seed: UInt64 = 1
  ) -> ServerRefusal {
    var generator = SplitMix(state: seed)
    return ServerRefusal(
      status: status,
      body: Array(body.utf8),
      retryAfter: retryAfter,
      at: now,
      using: &generator
    )
  }

  @Test("The beginning of the body is what people read")
  func message() {
    #expect(
      Self.refusal(400, "no such key\n").description
        == "the coordination server answered 400: no such key"
    )
    #expect(Self.refusal(502).description == "the coordination server answered 502")
    let page = Self.refusal(500, "<html>\u{1B}[31m" + String(repeating: "é", count: 9000))
    #expect(page.message.count == 201 && page.message.hasPrefix("<html> [31mé"))
  }

  @Test("Bytes that are no text do no harm")
  func noText() {
    var generator = SplitMix(state: 1)
    for count in 0..<300 {
      let bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
      let refusal = ServerRefusal(
        status: 500,
        body: bytes,
        retryAfter: nil,
        at: Self.now,
        using: &generator
      )
      #expect(refusal.message.unicodeScalars.allSatisfy { $0.value >= 0x20 })
    }
  }

  @Test(
    "The server says how long it wants to be left alone, in seconds or until a date",
    arguments: [
      ("1", 1), ("3600", 3600), (" 30", 30), ("Sun, 22 Nov 2026 08:49:37 GMT", 37),
      ("Sun, 22 Nov 2026 09:49:00 GMT", 3600),
    ] as [(String, Int)]
  )
  func retryAfter(header: String, seconds: Int) {
    #expect(Self.refusal(429, retryAfter: header).retryAfter == .seconds(seconds))
    #expect(Self.refusal(503, retryAfter: header).retryAfter == .seconds(seconds))
    #expect(Self.refusal(500, retryAfter: header).retryAfter == nil)
  }

  @Test(
    "When it says nothing that makes sense, too many requests wait between 5 and 10 seconds",
    arguments: [
      nil, "", "0", "-5", "3601", "soon", "99999999999999999999", "1.5",
      "Sun, 22 Nov 2026 08:49:00 GMT", "Sun, 22 Nov 2026 10:49:00 GMT",
      "Sun, 99 Nov 2026 08:49:37 GMT", "Sun, 22 Noo 2026 08:49:37 GMT", "Sun 22 Nov 2026",
      "Sun, 22 Nov 2026 08:49:37 UTC", "Sun, 22 Nov 9999999 08:49:37 GMT",
    ] as [String?]
  )
  func nonsense(header: String?) {
    var waits: Set<Duration> = []
    for seed in UInt64(0)..<20 {
      let wait = Self.refusal(429, retryAfter: header, seed: seed).retryAfter
      #expect(wait.map { $0 >= .seconds(5) && $0 < .seconds(10) } == true)
      wait.map { _ = waits.insert($0) }
    }
    #expect(waits.count > 10)
    #expect(Self.refusal(503, retryAfter: header).retryAfter == nil)
  }
}
