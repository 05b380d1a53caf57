// SPDX-License-Identifier: Apache-2.0

/// `text` without what would move a terminal's cursor, change its colours or reorder what it shows.
///
/// Names of machines and users come from others. Control characters, line ends among them, and marks
/// of direction become question marks.
package func printable(_ text: String) -> String { scrubbed(text, keepingLines: false) }

/// `text` as `printable` has it, with its line ends and tabs.
func printableLines(_ text: String) -> String { scrubbed(text, keepingLines: true) }

private func scrubbed(_ text: String, keepingLines: Bool) -> String {
  guard text.unicodeScalars.contains(where: { isUnprintable($0, keepingLines) }) else {
    return text
  }
  var scrubbed = String.UnicodeScalarView()
  for scalar in text.unicodeScalars {
    scrubbed.append(isUnprintable(scalar, keepingLines) ? "?" : scalar)
  }
  return String(scrubbed)
}

private func isUnprintable(_ scalar: Unicode.Scalar, _ keepingLines: Bool) -> Bool {
  switch scalar.value {
  case 0x09, 0x0A: !keepingLines
  case ..<0x20, 0x7F...0x9F: true
  case 0x2028, 0x2029, 0x200E, 0x200F, 0x202A...0x202E, 0x2066...0x2069: true
  default: false
  }
}
