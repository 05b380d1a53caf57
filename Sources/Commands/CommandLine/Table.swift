// SPDX-License-Identifier: Apache-2.0

/// Rows whose columns line up, for a terminal or a pager.
///
/// Cells show what they were given as `printable` has it: no cell can fake a row.
package struct Table: Sendable {
  private var rows: [[String]] = []
  private let padding: Int

  /// An empty table whose columns are `padding` spaces apart.
  package init(padding: Int = 2) { self.padding = padding }

  /// Appends a row; rows may differ in length.
  package mutating func add(_ cells: String...) { add(row: cells) }

  /// Appends a row; rows may differ in length.
  package mutating func add(row cells: [String]) { rows.append(cells.map(printable)) }

  /// Whether it has no row.
  package var isEmpty: Bool { rows.isEmpty }

  /// One line a row; every column is as wide as its widest cell that another cell follows.
  package var text: String {
    var widths: [Int] = []
    for row in rows {
      for (column, cell) in row.dropLast().enumerated() {
        if column == widths.count { widths.append(0) }
        widths[column] = max(widths[column], cell.unicodeScalars.count)
      }
    }
    return rows.map { line($0, widths: widths) + "\n" }.joined()
  }

  private func line(_ row: [String], widths: [Int]) -> String {
    var text = ""
    for (column, cell) in row.enumerated() {
      text += cell
      guard column < row.count - 1 else { break }
      text += String(
        repeating: " ",
        count: widths[column] - cell.unicodeScalars.count + padding
      )
    }
    while text.hasSuffix(" ") { text.removeLast() }
    return text
  }
}
