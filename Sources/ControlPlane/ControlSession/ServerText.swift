// SPDX-License-Identifier: Apache-2.0

/// What a server says to people, made fit for a terminal and a log.
enum ServerText {
  /// How much of it is shown, in characters.
  static let maximumCharacters = 200

  /// `text` on one line, without control characters, and shortened.
  static func readable(_ text: String) -> String {
    let scalars = text.unicodeScalars.prefix(4 * maximumCharacters).map { scalar in
      isHarmless(scalar) ? scalar : " "
    }
    var shown = String(String.UnicodeScalarView(scalars))
    while shown.last == " " { shown.removeLast() }
    shown = String(shown.drop { $0 == " " })
    guard shown.count > maximumCharacters else { return shown }
    return String(shown.prefix(maximumCharacters)) + "…"
  }

  /// Whether a scalar is shown as itself; those that move the cursor or turn text around are not.
  private static func isHarmless(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse,
      .unassigned:
      false
    default: true
    }
  }
}
