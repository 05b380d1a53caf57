// SPDX-License-Identifier: Apache-2.0

/// Names of nodes as one label of the domain name system.
///
/// Everything that is shown, written into a hosts file or asked of a resolver is made of the
/// letters, digits and hyphens that pass here; what a client calls itself is data, never a name.
package enum NodeName {
  /// The longest label (RFC 1035 §2.3.4).
  package static let maximumLength = 63

  /// The label that a client's own host name becomes.
  ///
  /// A local suffix is dropped, separators become hyphens, everything else outside letters, digits
  /// and hyphens goes; `node` when nothing is left.
  package static func sanitized(_ hostname: String) -> String {
    var text = Substring(hostname)
    for suffix in [".local", ".localdomain", ".lan"] where text.lowercased().hasSuffix(suffix) {
      text = text.dropLast(suffix.count)
    }
    var label: [UInt8] = []
    for byte in text.utf8 where label.count < maximumLength {
      switch byte {
      case _ where isLetter(byte): label.append(byte | 0x20)
      case _ where isDigit(byte): label.append(byte)
      case 0x2D, 0x20, 0x2E, 0x40, 0x5F: if !label.isEmpty { label.append(0x2D) }
      default: break
      }
    }
    while label.last == 0x2D { label.removeLast() }
    return label.isEmpty ? "node" : String(decoding: label, as: UTF8.self)
  }

  /// The first of `base`, `base-1`, `base-2`, … that is free.
  package static func unique(_ base: String, isFree: (String) -> Bool) -> String {
    if isFree(base) { return base }
    var number = 1
    while true {
      let suffix = "-\(number)"
      var candidate = base.prefix(maximumLength - suffix.utf8.count)
      while candidate.last == "-" { candidate.removeLast() }
      let name = candidate + suffix
      if isFree(String(name)) { return String(name) }
      number += 1
    }
  }

  /// The label that an administrator chose, or why it cannot be one.
  package static func chosen(_ text: String) throws(Refusal) -> String {
    let lower = text.lowercased()
    guard isLabel(lower) else {
      throw .invalid(
        "'\(printable(text))' is not a name for a node: use 1 to 63 letters, digits and "
          + "hyphens, with no hyphen at either end."
      )
    }
    return lower
  }

  /// Whether `text` is a lower-case label.
  package static func isLabel(_ text: String) -> Bool {
    let bytes = Array(text.utf8)
    return (1...maximumLength).contains(bytes.count) && bytes.first != 0x2D && bytes.last != 0x2D
      && bytes.allSatisfy { (0x61...0x7A).contains($0) || isDigit($0) || $0 == 0x2D }
  }

  /// Whether `text` is lower-case labels with dots between them.
  package static func isDomain(_ text: String) -> Bool {
    text.utf8.count <= 253
      && text.split(separator: ".", omittingEmptySubsequences: false).allSatisfy {
        isLabel(String($0))
      }
  }

  /// `text` without characters that would confuse a terminal, cut to a line.
  package static func printable(_ text: String) -> String {
    var shown = ""
    for scalar in text.unicodeScalars.prefix(100) {
      shown.unicodeScalars.append(isControl(scalar) ? "\u{FFFD}" : scalar)
    }
    return shown
  }
}

/// Tags: names of roles that nodes play instead of belonging to a user.
package enum Tag {
  /// How many tags one node or key may have.
  package static let maximumCount = 32

  /// The tags that `texts` ask for, sorted and each once, or why one cannot be a tag.
  package static func valid(_ texts: [String]) throws(Refusal) -> [String] {
    guard texts.count <= maximumCount else {
      throw .invalid("A node or key has at most \(maximumCount) tags.")
    }
    for text in texts where !isTag(text) {
      throw .invalid(
        "'\(NodeName.printable(text))' is not a tag: write 'tag:', a lower-case letter, then "
          + "lower-case letters, digits and hyphens."
      )
    }
    return Set(texts).sorted()
  }

  /// Whether `text` is `tag:` and a name.
  package static func isTag(_ text: String) -> Bool {
    guard text.hasPrefix("tag:"), text.utf8.count <= 54 else { return false }
    let name = text.utf8.dropFirst(4)
    guard let first = name.first, (0x61...0x7A).contains(first) else { return false }
    return name.allSatisfy { (0x61...0x7A).contains($0) || isDigit($0) || $0 == 0x2D }
  }
}
