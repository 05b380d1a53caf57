// SPDX-License-Identifier: Apache-2.0

import Addressing
import Bytes

/// An `http://` address on a gateway: a port and a path; the host is always the gateway itself.
///
/// Whatever host a device names, nobody but the gateway is ever asked.
package struct GatewayURL: Hashable, Sendable, Comparable {
  /// The port.
  package let port: UInt16
  /// The path and query, beginning with a slash.
  package let path: String
  /// The host that was written.
  let written: IPAddress

  static let maximumLength = 512

  /// Reads an absolute address whose host is an IPv4 literal; nil for anything else.
  init?(_ text: String) {
    guard text.utf8.count <= Self.maximumLength, Self.isPlain(text),
      text.lowercased().hasPrefix("http://")
    else { return nil }
    let rest = text.dropFirst("http://".count)
    let end = rest.firstIndex { $0 == "/" || $0 == "?" || $0 == "#" } ?? rest.endIndex
    let authority = rest[..<end].split(separator: ":", omittingEmptySubsequences: false)
    guard authority.count <= 2, let host = authority.first, let address = IPAddress(host),
      address.isV4
    else { return nil }
    var port: UInt16 = 80
    if authority.count == 2 {
      guard authority[1].utf8.allSatisfy({ (48...57).contains($0) }),
        let number = UInt16(authority[1]), number > 0
      else { return nil }
      port = number
    }
    self.init(written: address, port: port, path: Self.path(rest[end...]))
  }

  private init(written: IPAddress, port: UInt16, path: String) {
    (self.written, self.port, self.path) = (written, port, path)
  }

  /// The address that `reference` means in a document that was found here; nil for one that leads
  /// elsewhere or makes no sense.
  func resolving(_ reference: String) -> GatewayURL? {
    if reference.firstPlace(of: "://") != nil { return GatewayURL(reference) }
    guard !reference.isEmpty, reference.utf8.count <= Self.maximumLength, Self.isPlain(reference),
      !reference.hasPrefix("//")
    else { return nil }
    if reference.hasPrefix("/") {
      return GatewayURL(written: written, port: port, path: Self.path(reference[...]))
    }
    let directory = path.prefix { $0 != "?" }
    let upToSlash = directory.lastIndex(of: "/").map { directory[...$0] } ?? "/"
    return GatewayURL(written: written, port: port, path: Self.path(upToSlash + reference))
  }

  private static func path(_ text: Substring) -> String {
    let text = text.prefix { $0 != "#" }
    return text.hasPrefix("/") ? String(text) : "/" + text
  }

  /// Whether there is nothing in it that could end a line or a word of a request.
  private static func isPlain(_ text: String) -> Bool {
    text.utf8.allSatisfy { (0x21...0x7E).contains($0) }
  }

  package static func < (left: GatewayURL, right: GatewayURL) -> Bool {
    (left.written, left.port, left.path) < (right.written, right.port, right.path)
  }
}
