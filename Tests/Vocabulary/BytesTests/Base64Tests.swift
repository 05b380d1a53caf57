// SPDX-License-Identifier: Apache-2.0

import Bytes
import Testing

@Suite("Base-64 text")
struct Base64Tests {
  @Test(
    "The vectors of RFC 4648 §10",
    arguments: [
      ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="),
      ("fooba", "Zm9vYmE="), ("foobar", "Zm9vYmFy"),
    ]
  )
  func vectors(plain: String, text: String) {
    #expect(Base64.encode(Array(plain.utf8)) == text)
    #expect(Base64.decode(text) == Array(plain.utf8))
  }

  @Test("Every byte reads back")
  func roundTrip() {
    for count in 0..<66 {
      let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 * 37 + 201) }
      #expect(Base64.decode(Base64.encode(bytes)) == bytes)
    }
  }

  @Test(
    "Other spellings are refused",
    arguments: [
      "Zg", "Zg=", "Zg===", "Zh==", "Zm9=", "Z===", "====", "Zm9v\n", "Zm-_", "=Zm8", "é",
    ]
  )
  func refused(text: String) { #expect(Base64.decode(text) == nil) }
}
