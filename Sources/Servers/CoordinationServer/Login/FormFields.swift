// SPDX-License-Identifier: Apache-2.0

/// Fields as forms send them: `application/x-www-form-urlencoded`.
enum FormFields {
  /// How many fields of a form are read.
  static let maximumCount = 32

  /// The fields as one text.
  static func encode(_ fields: [(String, String)]) -> String {
    fields.map { quoted($0.0) + "=" + quoted($0.1) }.joined(separator: "&")
  }

  /// A text with everything quoted that means something in a form or an address.
  static func quoted(_ text: String) -> String {
    var result = ""
    for byte in text.utf8 {
      switch byte {
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E:
        result.unicodeScalars.append(Unicode.Scalar(byte))
      default:
        let digits = String(byte, radix: 16, uppercase: true)
        result += "%" + (digits.count == 1 ? "0" : "") + digits
      }
    }
    return result
  }

  /// The fields of a form that was sent; nil when it cannot be read.
  static func decode(_ body: [UInt8]) -> [(name: String, value: String)]? {
    guard let text = String(validating: body, as: UTF8.self) else { return nil }
    return RequestTarget("/?" + text)?.query
  }

  /// The values of the cookies of a name.
  static func cookies(_ name: String, in fields: [String]) -> [String] {
    fields.flatMap { $0.split(separator: ";") }.prefix(maximumCount).compactMap { pair in
      let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard parts.count == 2, parts[0].drop(while: { $0 == " " }) == name else { return nil }
      return String(parts[1])
    }
  }
}
