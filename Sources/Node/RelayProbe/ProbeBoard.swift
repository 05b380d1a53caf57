// SPDX-License-Identifier: Apache-2.0

import JSON
import Synchronization
package import Timing

/// What all probes found last, for people and for programs.
package final class ProbeBoard: Sendable {
  /// One probe's last result, and how often it went how.
  package struct Entry: Hashable, Sendable {
    /// What was found last.
    package var outcome: RelayProbeOutcome
    /// When that was.
    package var at: Timestamp
    /// How often all was well.
    package var good = 0
    /// How often not.
    package var bad = 0
  }

  private let entries = Mutex<[String: Entry]>([:])
  private let trouble = Mutex<String?>(nil)

  /// A board that knows nothing yet.
  package init() {}

  /// Notes what a probe found.
  package func note(_ outcome: RelayProbeOutcome, of probe: RelayProbe, at now: Timestamp) {
    entries.withLock { entries in
      var entry = entries[probe.name] ?? Entry(outcome: outcome, at: now)
      (entry.outcome, entry.at) = (outcome, now)
      if outcome.isGood { entry.good += 1 } else { entry.bad += 1 }
      entries[probe.name] = entry
    }
  }

  /// Notes why the relays are not known, or that they are.
  package func note(mapProblem: String?) { trouble.withLock { $0 = mapProblem } }

  /// Forgets probes of one kind that are not among these.
  package func keep(_ probes: [RelayProbe], of kind: RelayProbe.Kind) {
    let names = Set(probes.map(\.name))
    entries.withLock { entries in
      entries = entries.filter { !$0.key.hasPrefix(kind.prefix) || names.contains($0.key) }
    }
  }

  /// Everything, by name.
  package var all: [(name: String, entry: Entry)] {
    entries.withLock { $0.map { ($0.key, $0.value) } }.sorted { $0.name < $1.name }
  }

  /// Why the relays are not known; nil while they are.
  package var mapProblem: String? { trouble.withLock { $0 } }

  /// Whether the relays are known and every probe found all well.
  package var isGood: Bool {
    mapProblem == nil && all.allSatisfy { $0.entry.outcome.isGood }
  }

  // MARK: Forms

  /// One line for each probe.
  package var text: String {
    let problem = mapProblem.map { "bad  map: \($0)\n" } ?? ""
    return problem + all.map { Self.line($0.name, $0.entry) + "\n" }.joined()
  }

  static func line(_ name: String, _ entry: Entry) -> String {
    let outcome = entry.outcome
    guard outcome.isGood else { return "bad  \(name): \(outcome.reason)" }
    let time = outcome.latency.map { " \(Self.milliseconds($0)) ms" } ?? ""
    let speed = outcome.bitsPerSecond.map { " \(Int($0 / 1e6)) Mbit/s" } ?? ""
    return "good \(name):\(time)\(speed)"
  }

  private static func milliseconds(_ duration: Duration) -> Double {
    (duration.inSeconds * 1e5).rounded() / 100
  }

  /// A page for browsers.
  package var html: String {
    let rows = all.map { name, entry in
      let line = Self.escape(Self.line(name, entry))
      return "<tr class=\"\(entry.outcome.isGood ? "good" : "bad")\"><td>\(line)</td>"
        + "<td>\(entry.good)</td><td>\(entry.bad)</td></tr>"
    }
    return """
      <!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="15">
      <title>Relays: \(isGood ? "all is well" : "something is wrong")</title>
      <style>body{font:15px system-ui;margin:2em}td{padding:.3em 1em}.bad{background:#fbdcd8}
      @media(prefers-color-scheme:dark){body{background:#111;color:#eee}.bad{background:#611}}</style>
      <h1>\(isGood ? "All is well" : "Something is wrong")</h1>
      <p>\(Self.escape(mapProblem ?? ""))</p>
      <table><tr><th>Probe</th><th>Good</th><th>Bad</th></tr>\(rows.joined())</table></html>

      """
  }

  private static func escape(_ text: String) -> String {
    text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
  }

  /// For programs.
  package var json: [UInt8] {
    var writer = JSONWriter()
    writer.object { writer in
      for (name, entry) in all {
        writer.name(name)
        writer.object { writer in
          writer.field("good", entry.outcome.isGood)
          if let latency = entry.outcome.latency {
            writer.name("seconds")
            writer.double(latency.inSeconds)
          }
          if let speed = entry.outcome.bitsPerSecond {
            writer.name("bitsPerSecond")
            writer.double(speed)
          }
          if !entry.outcome.reason.isEmpty { writer.field("reason", entry.outcome.reason) }
        }
      }
    }
    return writer.bytes
  }

  /// A name as it may stand in a label of Prometheus.
  private static func label(_ name: String) -> String {
    name.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: " ")
  }

  /// For Prometheus.
  package var metrics: String {
    let all = all.map { (name: Self.label($0.name), entry: $0.entry) }
    var text = "# TYPE martlet_derpprobe_map_good gauge\n"
    text += "martlet_derpprobe_map_good \(mapProblem == nil ? 1 : 0)\n"
    text += "# TYPE martlet_derpprobe_up gauge\n"
    for (name, entry) in all {
      text += "martlet_derpprobe_up{probe=\"\(name)\"} \(entry.outcome.isGood ? 1 : 0)\n"
    }
    text += "# TYPE martlet_derpprobe_seconds gauge\n"
    for (name, entry) in all {
      guard let latency = entry.outcome.latency else { continue }
      text += "martlet_derpprobe_seconds{probe=\"\(name)\"} \(latency.inSeconds)\n"
    }
    text += "# TYPE martlet_derpprobe_bits_per_second gauge\n"
    for (name, entry) in all {
      guard let speed = entry.outcome.bitsPerSecond else { continue }
      text += "martlet_derpprobe_bits_per_second{probe=\"\(name)\"} \(speed)\n"
    }
    text += "# TYPE martlet_derpprobe_runs_total counter\n"
    for (name, entry) in all {
      text += "martlet_derpprobe_runs_total{probe=\"\(name)\",result=\"good\"} \(entry.good)\n"
      text += "martlet_derpprobe_runs_total{probe=\"\(name)\",result=\"bad\"} \(entry.bad)\n"
    }
    return text
  }
}
