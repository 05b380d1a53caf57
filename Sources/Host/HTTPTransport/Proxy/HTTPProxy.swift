// SPDX-License-Identifier: Apache-2.0

import Bytes

/// An HTTP proxy through which connections are made, by CONNECT (RFC 9110 §9.3.6).
///
/// What passes through it is as private as the connection itself: the proxy learns to whom it leads. Its
/// password is never printed.
package struct HTTPProxy: Hashable, Sendable, CustomStringConvertible {
  /// Its name or address.
  package let host: String
  /// Its port.
  package let port: UInt16
  /// The value of the `Proxy-Authorization` field; nil where no password was given.
  let authorization: String?

  /// The proxy that `http://[USER:PASSWORD@]HOST[:PORT]` names; nil for anything else.
  ///
  /// The scheme may be left out, as many do in the variables of the environment.
  package init?(_ text: String) {
    let scheme = "http://"
    let rest = text.lowercased().hasPrefix(scheme) ? text.dropFirst(scheme.count) : text[...]
    guard rest.firstPlace(of: "://") == nil else { return nil }
    let authority = rest.prefix { $0 != "/" }
    let sign = authority.lastIndex(of: "@")
    let place = sign.map { authority[authority.index(after: $0)...] } ?? authority
    guard let url = HTTPURL(scheme + place) else { return nil }
    (host, port) = (url.host, url.port)
    guard let sign else {
      authorization = nil
      return
    }
    guard let credentials = Self.decoded(authority[..<sign]) else { return nil }
    authorization = "Basic " + Base64.encode(credentials)
  }

  /// Whether it carries a password.
  package var hasPassword: Bool { authorization != nil }

  /// Where it is, without its password.
  package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

  /// The bytes of text with `%XX` in it; nil when it is not well-formed.
  private static func decoded(_ text: Substring) -> [UInt8]? {
    var bytes: [UInt8] = []
    var rest = Array(text.utf8)[...]
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "%") else {
        guard byte > 0x20, byte < 0x7F else { return nil }
        bytes.append(byte)
        continue
      }
      let digits = String(decoding: rest.prefix(2), as: UTF8.self)
      guard digits.utf8.count == 2, let value = Hex.decode(digits)?.first, value >= 0x20 else {
        return nil
      }
      bytes.append(value)
      rest = rest.dropFirst(2)
    }
    return bytes
  }
}
