// SPDX-License-Identifier: Apache-2.0

import Bytes
public import Keys

/// How a client learns the relay's key from the TLS handshake and saves a round trip.
///
/// The relay appends to its chain a certificate whose common name is `derpkey` and the hex digits
/// of its key. Nobody validates it: whoever lies about the key cannot open what is sealed for it.
/// A client that found it sends `Derp-Fast-Start: 1`, gets no HTTP answer, and starts its session
/// with the key it found. TLS 1.3 only: before, the certificate is visible to everybody.
///
/// - Source: `Documentation/Protocols/derp.md`, fast start.
public enum FastStart {
  /// The request header, whose value is `1`.
  public static let header = "Derp-Fast-Start"
  /// What the common name begins with.
  public static let namePrefix = "derpkey"

  /// The relay's key as told by the certificates it showed, in DER; nil when none tells it.
  public static func serverKey(inCertificates certificates: [[UInt8]]) -> NodeKey? {
    // The relay's own certificate comes first and is never the one.
    for certificate in certificates.dropFirst() {
      if let key = key(in: certificate) { return key }
    }
    return nil
  }

  /// Looks for the name itself, wherever the structure has it.
  private static func key(in certificate: [UInt8]) -> NodeKey? {
    let prefix = Array(namePrefix.utf8)
    let length = prefix.count + 64
    guard certificate.count >= length else { return nil }
    for start in 0...certificate.count - length
    where certificate[start] == prefix[0] && certificate[start...].starts(with: prefix) {
      let digits = certificate[(start + prefix.count)..<(start + length)]
      return Hex.decode(String(decoding: digits, as: UTF8.self)).flatMap { NodeKey(bytes: $0) }
    }
    return nil
  }
}
