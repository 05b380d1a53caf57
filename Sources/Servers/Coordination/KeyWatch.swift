// SPDX-License-Identifier: Apache-2.0

internal import Timing

/// Counts how many nodes each key lets in within a while: a key that has been copied lets in many.
struct KeyWatch: Sendable {
  /// How many within the time are worth an alarm.
  static let threshold = 20
  /// The time.
  static let period = Duration.seconds(60)

  private var windows: [PreAuthKeyID: (begun: Instant, count: Int)] = [:]
  /// How many alarms there were.
  private(set) var alarms = 0

  /// A key has let in a node; true when that makes too many, once for each time.
  mutating func count(_ key: PreAuthKeyID, at now: Instant) -> Bool {
    var window = windows[key] ?? (now, 0)
    if now - window.begun >= Self.period { window = (now, 0) }
    window.count += 1
    windows[key] = window
    guard window.count == Self.threshold else { return false }
    alarms += 1
    return true
  }

  /// Forgets what is over; bounded by the number of keys in between.
  mutating func expire(at now: Instant) {
    guard !windows.isEmpty else { return }
    windows = windows.filter { now - $0.value.begun < Self.period }
  }
}

extension Tailnet {
  /// How often a key let in many nodes within a minute.
  package var keyAlarms: Int { keyWatch.alarms }

  /// Writes down when a key lets in many nodes within a while.
  mutating func watch(_ key: PreAuthKey, at now: Moment, into effects: inout Effects) {
    guard keyWatch.count(key.id, at: now.instant) else { return }
    audit(
      "server",
      "preauthkey.alarm",
      "key \(key.prefix)",
      "let in \(KeyWatch.threshold) nodes within a minute: expire it, if that was not you",
      at: now,
      into: &effects
    )
  }
}
