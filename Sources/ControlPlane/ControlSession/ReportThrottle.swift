// SPDX-License-Identifier: Apache-2.0

package import Timing

/// Decides when the coordination server is told what is new of this node.
///
/// One report is on its way at a time and only the newest waits; a failure is tried again with
/// back-off; two reports keep a distance, so that endpoints that flap do not become a flood.
package struct ReportThrottle: Sendable {
  /// How far apart two reports are.
  package static let spacing = Duration.milliseconds(250)

  /// When `next` has something to send; nil when there is nothing, or while one is on its way.
  package var deadline: Instant? { waiting != nil && sending == nil ? notBefore : nil }
  /// How many reports gave way to a newer one before they were sent.
  package private(set) var superseded = 0

  private var waiting: NodeReport?
  private var sending: NodeReport?
  private var known: NodeReport?
  private var notBefore = Instant(nanoseconds: .min)
  private var backoff = Backoff()

  /// A throttle that knows of no report.
  package init() {}

  /// Takes what the server should know; nothing happens when it knows it, or is being told.
  package mutating func submit(_ report: NodeReport) {
    if waiting != nil { superseded += 1 }
    let told = sending ?? known
    waiting = told.map(report.saysTheSame) == true ? nil : report
  }

  /// The report to send now; tell how that went with `succeed` or `fail`.
  package mutating func next(at now: Instant) -> NodeReport? {
    guard let report = waiting, sending == nil, now >= notBefore else { return nil }
    (waiting, sending) = (nil, report)
    notBefore = now + Self.spacing
    return report
  }

  /// The server has taken the report that was on its way.
  package mutating func succeed() {
    known = sending ?? known
    sending = nil
    backoff.reset()
  }

  /// The report that was on its way did not arrive; it is sent again unless there is a newer one.
  package mutating func fail(
    at now: Instant,
    using generator: inout some RandomNumberGenerator
  ) {
    guard let report = sending else { return }
    sending = nil
    // Whether the server has heard it is not known: neither is what it knows.
    known = nil
    waiting = waiting ?? report
    notBefore = max(notBefore, now + backoff.next(using: &generator))
  }

  /// A new map stream is open: the server is told everything once more.
  package mutating func restart() {
    waiting = waiting ?? sending ?? known
    (sending, known) = (nil, nil)
    notBefore = Instant(nanoseconds: .min)
    backoff.reset()
  }
}
