// SPDX-License-Identifier: Apache-2.0

import NIOSSL

/// The host names that a certificate is for.
struct CertificateNames: Hashable {
  /// The names as they are written, some with a star for their first label.
  let patterns: [String]

  init(_ patterns: [String]) { self.patterns = patterns }

  init(of certificate: NIOSSLCertificate) {
    patterns = certificate._subjectAlternativeNames().compactMap { name in
      guard name.nameType == .dnsName else { return nil }
      // SAFETY: the bytes are copied while the name that holds them lives.
      let bytes = unsafe name.contents.withUnsafeBufferPointer { unsafe Array($0) }
      // One that holds anything but text is for nobody.
      return String(validating: bytes, as: UTF8.self)
    }
  }

  /// Whether the certificate is for the host `name`.
  ///
  /// A star stands for one whole label, the first, of a name with at least three.
  ///
  /// - Source: RFC 9525 §6.3.
  func contain(_ name: String) -> Bool {
    let labels = Self.labels(name)
    guard !labels.isEmpty else { return false }
    return patterns.contains { pattern in
      let wanted = Self.labels(pattern)
      guard wanted.count == labels.count else { return false }
      let isWild = wanted[0] == "*" && wanted.count >= 3
      return zip(
        isWild ? wanted.dropFirst() : wanted[...],
        isWild ? labels.dropFirst() : labels[...]
      )
      .allSatisfy { equalIgnoringCase($0, $1) }
    }
  }

  /// The parts between the dots; none where one of them is empty.
  private static func labels(_ name: String) -> [Substring] {
    let absolute = name.hasSuffix(".") ? name.dropLast() : name[...]
    let labels = absolute.split(separator: ".", omittingEmptySubsequences: false)
    return labels.contains("") ? [] : labels
  }
}
