// SPDX-License-Identifier: Apache-2.0

import Timing

/// The matrix for people: a table and a picture.
extension NATMatrix {
  /// A table in Markdown: the time to a direct path (median, 95th of 100), or `relayed`.
  package var markdown: String {
    var lines = ["| | " + Self.kinds.joined(separator: " | ") + " |"]
    lines.append("|---|" + String(repeating: "---|", count: Self.kinds.count))
    for (row, name) in Self.kinds.enumerated() {
      let texts = Self.kinds.indices.map { column in
        let cell = self[row, column]
        return cell.text + (cell.agrees ? "" : " (not as expected)")
      }
      lines.append("| **\(name)** | " + texts.joined(separator: " | ") + " |")
    }
    return lines.joined(separator: "\n") + "\n"
  }

  /// A picture: a square a pair, darker the longer it takes, hatched where it stays relayed.
  package var picture: String {
    let (size, left, top) = (88, 100, 60)
    let width = left + size * Self.kinds.count + 20
    let height = top + size * Self.kinds.count + 40
    var parts = [
      """
      <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(width) \(height)" \
      font-family="sans-serif" font-size="13" role="img" aria-label="Time to a direct path by pair of NATs">
      <defs><pattern id="h" width="8" height="8" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">\
      <rect width="8" height="8" fill="#e8e6e1"/><line x1="0" y1="0" x2="0" y2="8" stroke="#b9b4aa" stroke-width="3"/>\
      </pattern></defs>
      <rect width="\(width)" height="\(height)" fill="#fffdf8"/>
      <text x="\(left)" y="24" font-size="16" fill="#222">Time from the first question to a direct path</text>
      """
    ]
    for (index, name) in Self.kinds.enumerated() {
      let middle = left + index * size + size / 2
      parts.append(
        "<text x='\(middle)' y='\(top - 8)' text-anchor='middle' fill='#444'>\(name)</text>"
      )
      let centre = top + index * size + size / 2
      parts.append(
        "<text x='\(left - 8)' y='\(centre + 4)' text-anchor='end' fill='#444'>\(name)</text>"
      )
      for other in Self.kinds.indices {
        parts.append(square(self[index, other], left + other * size, top + index * size, size))
      }
    }
    parts.append(
      "<text x='\(left)' y='\(height - 14)' fill='#666'>median and 95th of 100; hatched: stays relayed</text></svg>\n"
    )
    return parts.joined(separator: "\n")
  }

  private func square(_ cell: Cell, _ x: Int, _ y: Int, _ size: Int) -> String {
    let times = cell.directTimes
    let shade = times.isEmpty ? "url(#h)" : Self.shade(cell.percentile(50))
    let frame = cell.agrees ? "#fffdf8" : "#c0392b"
    let box =
      "<rect x='\(x + 2)' y='\(y + 2)' width='\(size - 4)' height='\(size - 4)' rx='6' fill='\(shade)' stroke='\(frame)' stroke-width='2'/>"
    let words = times.isEmpty ? ["relayed"] : cell.text.split(separator: ",").map(String.init)
    let texts = words.enumerated().map { index, word in
      "<text x='\(x + size / 2)' y='\(y + size / 2 + 4 + index * 16 - (words.count - 1) * 8)' text-anchor='middle' fill='#222'>\(word)</text>"
    }
    return box + texts.joined()
  }

  private static func shade(_ time: Duration) -> String {
    switch time.inMilliseconds {
    case ..<150: "#bfe3c0"
    case ..<500: "#d9e8a8"
    case ..<2000: "#f6dc97"
    default: "#f0b48a"
    }
  }
}

extension NATMatrix.Cell {
  var directTimes: [Duration] { directAfter.compactMap(\.self).sorted() }

  /// The time that `share` of a hundred trials took at most.
  func percentile(_ share: Int) -> Duration {
    let times = directTimes
    guard !times.isEmpty else { return .zero }
    return times[min(times.count - 1, times.count * share / 100)]
  }

  /// The cell in words.
  var text: String {
    let times = directTimes
    guard !times.isEmpty else { return "relayed" }
    let some = times.count < directAfter.count ? " (\(times.count) of \(directAfter.count))" : ""
    let values = "\(Self.words(percentile(50))), \(Self.words(percentile(95)))"
    return values + some
  }

  private static func words(_ time: Duration) -> String {
    let milliseconds = Int(time.inMilliseconds.rounded())
    return milliseconds < 1000
      ? "\(milliseconds) ms" : "\(milliseconds / 1000).\(milliseconds % 1000 / 100) s"
  }
}
