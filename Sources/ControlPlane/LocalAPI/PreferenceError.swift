// SPDX-License-Identifier: Apache-2.0

import Addressing

/// Why preferences cannot be as asked.
package enum PreferenceError: Error, Hashable, Sendable {
  /// A value that the daemon keeps for itself.
  case internalField
  /// Something that this node does not do.
  case unserved(UnservedPreference)
  /// A coordination server's address that is no http or https URL.
  case badControlURL(String)
  /// A name that no host can have.
  case badHostname(String)
  /// A tag that is not `tag:` and a name.
  case badTag(String)
  /// A user name that no system has.
  case badOperator(String)
  /// A prefix with bits set past its length.
  case routeWithHostBits(String)
}

extension PreferenceError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .internalField: "can't set Internal fields"
    case .unserved(let preference): preference.refusal
    case .badControlURL(let url):
      "\"\(url)\" is not the URL of a coordination server: it starts with http:// or https:// and names a host"
    case .badHostname(let name):
      "\"\(name)\" is not a host name: letters, digits, dots and hyphens, at most 63 between dots"
    case .badTag(let tag):
      "\"\(tag)\" is not a tag: \"tag:\" and a name that starts with a letter, of letters, digits and hyphens"
    case .badOperator(let name): "\"\(name)\" is not a user name"
    case .routeWithHostBits(let route): "the route \(route) has bits set past its length"
    }
  }
}

extension Preferences {
  /// Checks every value that a person may have mistyped.
  package func validate() throws(PreferenceError) {
    guard controlURL.isEmpty || Self.isControlURL(controlURL) else {
      throw .badControlURL(controlURL)
    }
    guard hostname.isEmpty || Self.isHostname(hostname) else { throw .badHostname(hostname) }
    for tag in advertiseTags ?? [] where !Self.isTag(tag) { throw .badTag(tag) }
    guard operatorUser.isEmpty || Self.isUserName(operatorUser) else {
      throw .badOperator(operatorUser)
    }
    for route in advertiseRoutes ?? [] where route != route.masked {
      throw .routeWithHostBits(route.description)
    }
  }

  /// Whether `text` can be the URL of a coordination server.
  package static func isControlURL(_ text: String) -> Bool {
    let scheme = ["https://", "http://"].first { text.hasPrefix($0) }
    guard let scheme, text.utf8.count <= 2048 else { return false }
    let rest = text.dropFirst(scheme.count)
    let host = rest.prefix { $0 != "/" }
    return !host.isEmpty && host.first != ":" && !host.contains("@")
      && rest.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != 0x22 && $0 != 0x5C }
  }

  private static func isHostname(_ text: String) -> Bool {
    text.utf8.count <= 253
      && text.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { label in
        (1...63).contains(label.utf8.count) && label.first != "-" && label.last != "-"
          && label.utf8.allSatisfy { isAlphanumeric($0) || $0 == UInt8(ascii: "-") }
      }
  }

  private static func isTag(_ text: String) -> Bool {
    guard text.hasPrefix("tag:"), text.utf8.count <= 128 else { return false }
    let name = text.utf8.dropFirst(4)
    guard let first = name.first, isAlphanumeric(first), !isDigit(first) else { return false }
    return name.allSatisfy { isAlphanumeric($0) || $0 == UInt8(ascii: "-") }
  }

  /// A number is no name: it may mean another user to another program.
  private static func isUserName(_ text: String) -> Bool {
    text.utf8.count <= 256 && text.first != "-" && text.contains { !$0.isNumber }
      && text.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7F && $0 != 0x3A && $0 != 0x2F }
  }

  private static func isAlphanumeric(_ byte: UInt8) -> Bool {
    isDigit(byte) || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
  }

  private static func isDigit(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
  }
}
