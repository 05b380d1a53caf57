// SPDX-License-Identifier: Apache-2.0

import Bytes
import Testing

@Suite("Text in text")
struct TextTests {
  @Test(
    "It is found where it first stands",
    arguments: [
      ("fe80::1", "::", 4..<6), ("::", "::", 0..<2), ("a:b::", "::", 3..<5), (":::", "::", 0..<2),
      ("aab", "ab", 1..<3), ("tëst", "st", 3..<5),
    ]
  )
  func isFound(text: String, part: String, place: Range<Int>) {
    let found = text.firstPlace(of: part)
    #expect(found.map { Array(text.utf8)[offsets($0, of: text)] } == Array(part.utf8)[...])
    #expect(found.map { offsets($0, of: text) } == place)
    #expect(("x:" + text).dropFirst(2).firstPlace(of: part) != nil)
  }

  @Test(
    "It is not found where its bytes are not",
    arguments: [
      ("", "a"), ("abc", ""), ("", ""), ("ab", "abc"), ("a:b:c", "::"), ("é", "e\u{301}"),
    ]
  )
  func isNotFound(text: String, part: String) {
    #expect(text.firstPlace(of: part) == nil)
  }

  @Test(
    "It gives way to other text wherever it stands",
    arguments: [
      ("the key is k1, k1!", "k1", "it", "the key is it, it!"), ("k1", "k1", "", ""),
      ("nothing", "k1", "it", "nothing"), ("aaa", "aa", "a", "aa"), ("same", "", "x", "same"),
      ("k1\u{301}", "k1", "it", "it\u{301}"),
    ]
  )
  func givesWay(
    text: String,
    part: String,
    other: String,
    result: String
  ) {
    #expect(text.exchanging(part, for: other) == result)
  }

  private func offsets(_ place: Range<String.Index>, of text: String) -> Range<Int> {
    let bytes = text.utf8
    return bytes.distance(
      from: bytes.startIndex,
      to: place.lowerBound
    )..<bytes.distance(from: bytes.startIndex, to: place.upperBound)
  }
}
