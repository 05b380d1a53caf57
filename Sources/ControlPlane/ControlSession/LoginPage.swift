// SPDX-License-Identifier: Apache-2.0

/// An address that a person is asked to open.
///
/// It comes from a server and ends up in terminals and browsers: only web addresses in plain ASCII,
/// with a host and without a user name before it, are passed on.
package struct LoginPage: Hashable, Sendable, CustomStringConvertible {
  /// How long an address may be.
  package static let maximumBytes = 2048

  /// The address as it came.
  package let description: String

  /// The address in `text`; nil when it is not one to show.
  package init?(_ text: String) {
    let bytes = Array(text.utf8)
    guard bytes.count <= Self.maximumBytes, bytes.allSatisfy(Self.isSafe) else { return nil }
    guard let scheme = ["https://", "http://"].first(where: { text.lowercased().hasPrefix($0) })
    else { return nil }
    let authority = bytes.dropFirst(scheme.utf8.count).prefix { !Self.endsAuthority($0) }
    guard let first = authority.first, first != UInt8(ascii: ":"),
      !authority.contains(UInt8(ascii: "@"))
    else { return nil }
    description = text
  }

  /// What an address may be made of, without quotes and brackets that shells and pages read otherwise.
  private static func isSafe(_ byte: UInt8) -> Bool {
    (0x21...0x7E).contains(byte) && !#""'<>\^`{|}"#.utf8.contains(byte)
  }

  private static func endsAuthority(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: "/") || byte == UInt8(ascii: "?") || byte == UInt8(ascii: "#")
  }
}
