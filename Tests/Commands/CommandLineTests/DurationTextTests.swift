// SPDX-License-Identifier: Apache-2.0

import CommandLine
import Testing

@Suite("Durations as text")
struct DurationTextTests {
  @Test(
    "Durations people write are understood",
    arguments: [
      ("90d", .seconds(7_776_000)), ("1h30m", .seconds(5400)), ("1.5s", .milliseconds(1500)),
      ("0", .zero), ("250ms", .milliseconds(250)), ("2w", .seconds(1_209_600)),
      ("1m0.000000001s", .nanoseconds(60_000_000_001)), (".5h", .seconds(1800)),
      ("7us", .microseconds(7)), ("7µs", .microseconds(7)),
    ] as [(String, Duration)]
  )
  func understood(text: String, duration: Duration) {
    #expect(DurationText.parse(text) == duration)
  }

  @Test(
    "What is no duration is refused",
    arguments: [
      "", "5", "-1s", "1 h", "h", "1y", "1..5s", "1.5.s", ".s", "1e3s", "99999999999999999999s",
      "9999999999d", "1h30", "+1s", "0x1s",
    ]
  )
  func refused(text: String) { #expect(DurationText.parse(text) == nil) }

  @Test(
    "Durations are written in the shortest exact way",
    arguments: [
      (.zero, "0s"), (.nanoseconds(7), "7ns"), (.microseconds(1), "1µs"),
      (.nanoseconds(1500), "1.5µs"), (.milliseconds(12), "12ms"),
      (.microseconds(1_234), "1.234ms"), (.milliseconds(1500), "1.5s"), (.seconds(60), "1m0s"),
      (.seconds(5400), "1h30m0s"), (.milliseconds(90_500), "1m30.5s"),
      (.milliseconds(-1500), "-1.5s"), (.seconds(7_776_000), "2160h0m0s"),
    ] as [(Duration, String)]
  )
  func written(duration: Duration, text: String) {
    #expect(DurationText.format(duration) == text)
  }

  @Test("What is written is understood again")
  func roundTrip() {
    var nanoseconds: Int64 = 1
    while nanoseconds < 1 << 60 {
      let duration = Duration.nanoseconds(nanoseconds)
      #expect(DurationText.parse(DurationText.format(duration)) == duration)
      nanoseconds = nanoseconds * 7 + 3
    }
  }

  @Test("Rounding goes to the nearest multiple")
  func rounding() {
    let unit = Duration.milliseconds(1)
    #expect(DurationText.rounded(.microseconds(1499), to: unit) == .milliseconds(1))
    #expect(DurationText.rounded(.microseconds(1500), to: unit) == .milliseconds(2))
    #expect(DurationText.rounded(.microseconds(-1500), to: unit) == .milliseconds(-2))
  }
}
