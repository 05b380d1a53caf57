// SPDX-License-Identifier: Apache-2.0

/// Numbers that follow each other: of addresses, or of ports.
struct NumberSpan<Number: FixedWidthInteger & Sendable>: Hashable, Sendable {
  var first: Number
  var last: Number
}

/// Spans that are apart from each other and in order make up a set; membership is a binary search.
extension Array {
  /// The same numbers in spans that are apart from each other and in order.
  func merged<Number>() -> [NumberSpan<Number>] where Element == NumberSpan<Number> {
    var result: [NumberSpan<Number>] = []
    for span in sorted(by: { $0.first < $1.first }) {
      if let last = result.last, last.last == .max || span.first <= last.last + 1 {
        result[result.count - 1].last = Swift.max(last.last, span.last)
      } else {
        result.append(span)
      }
    }
    return result
  }

  /// Whether `number` is in one of them.
  func has<Number>(_ number: Number) -> Bool where Element == NumberSpan<Number> {
    let place = firstSpan(endingAtOrAfter: number)
    return place < count && self[place].first <= number
  }

  /// Which is the first that does not end before `number`.
  func firstSpan<Number>(endingAtOrAfter number: Number) -> Int
  where Element == NumberSpan<Number> {
    var low = 0
    var high = count
    while low < high {
      let middle = (low + high) / 2
      if number > self[middle].last { low = middle + 1 } else { high = middle }
    }
    return low
  }
}
