// SPDX-License-Identifier: Apache-2.0

package import Timing

/// An answer of the coordination server that is not the one that was hoped for.
///
/// - Source: `Documentation/Protocols/control.md`, registration.
package struct ServerRefusal: Error, Hashable, Sendable, CustomStringConvertible {
  /// The HTTP status.
  package let status: Int
  /// What the server says, fit to be shown.
  package let message: String
  /// How long the server wants to be left alone; nil for the usual back-off.
  package let retryAfter: Duration?

  /// The longest wait that a server may ask for.
  package static let longestWait = Duration.seconds(3600)

  /// Reads an answer.
  ///
  /// - Parameters:
  ///   - status: The HTTP status, not 200.
  ///   - body: The beginning of the body.
  ///   - header: The header `Retry-After`: seconds or a date.
  ///   - now: What time it is, for a date.
  ///   - generator: Spreads the wait when too many asked and the server does not say how long.
  package init(
    status: Int,
    body: [UInt8],
    retryAfter header: String?,
    at now: Timestamp,
    using generator: inout some RandomNumberGenerator
  ) {
    self.status = status
    message = ServerText.readable(String(decoding: body.prefix(4096), as: UTF8.self))
    let asked = header.flatMap { Self.wait(in: $0, at: now) }
    switch status {
    case 429:
      retryAfter = asked ?? .seconds(Double.random(in: 5..<10, using: &generator))
    case 503: retryAfter = asked
    default: retryAfter = nil
    }
  }

  /// A sentence for people.
  package var description: String {
    "the coordination server answered \(status)" + (message.isEmpty ? "" : ": \(message)")
  }

  private static func wait(in header: String, at now: Timestamp) -> Duration? {
    let text = header.drop { $0 == " " }
    let wait: Duration
    if let seconds = Int64(text) {
      wait = .seconds(min(max(seconds, 0), 1 << 32))
    } else if let date = date(in: text) {
      wait = date - now
    } else {
      return nil
    }
    return wait > .zero && wait <= longestWait ? wait : nil
  }

  private static let months = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
  ]

  /// The date of the form `Sun, 06 Nov 1994 08:49:37 GMT`.
  ///
  /// - Source: RFC 9110 §5.6.7.
  private static func date(in text: Substring) -> Timestamp? {
    let parts = text.split(separator: " ", omittingEmptySubsequences: false)
    guard parts.count == 6, parts[5] == "GMT", parts[0].hasSuffix(","),
      let month = months.firstIndex(where: { $0 == parts[2] })
    else { return nil }
    let number = month < 9 ? "0\(month + 1)" : "\(month + 1)"
    return Timestamp("\(parts[3])-\(number)-\(parts[1])T\(parts[4])Z")
  }
}
