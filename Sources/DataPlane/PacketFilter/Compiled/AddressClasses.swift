// SPDX-License-Identifier: Apache-2.0

import Addressing

/// Tells for an address of one family which lists of rules concern it.
///
/// Rules name prefixes, which lie within each other or apart. Prefixes that the same rules name and
/// that lie in the same wider one make up a class. A class has a list of its own and, through its
/// parent, the lists of the prefixes around it: nothing is multiplied out, and the size follows that of
/// the rules. An address that rules name by itself is found by one probe, any other by a binary search
/// among the few wide stretches.
struct AddressClasses: Sendable {
  /// A prefix that a rule names.
  struct Mention {
    var prefix: IPPrefix
    /// What goes into the list of the prefix.
    var item: UInt32
  }

  /// What its addresses have in common.
  struct Class: Hashable, Sendable {
    /// The class of the prefix around it; the first for none.
    var parent: UInt32
    /// The list of what names its own prefixes.
    var list: UInt32
  }

  /// Stretches of at most so many addresses are entered one by one.
  private static let enteredMaximum: UInt128 = 8

  /// The first is the class of what no rule names, and has the empty list.
  private(set) var classes: [Class] = []
  private var entered = PrefixTable<UInt32>()
  /// Where the wide stretches begin, and the class of each.
  private var starts: [UInt128] = []
  private var startClasses: [UInt32] = []

  /// Sorts the mentioned prefixes into classes.
  ///
  /// - Parameters:
  ///   - mentions: Prefixes of one family, host bits clear, and what names them.
  ///   - lists: Receives the lists; the first is empty.
  init(_ mentions: [Mention], lists: inout [[UInt32]]) {
    var builder = Builder()
    builder.add(mentions)
    (classes, lists) = (builder.classes, builder.lists)
    enter(builder.stretches, mentions.first?.prefix.address.family ?? .v4)
  }

  /// The class of an address.
  func `class`(of address: IPAddress) -> Int {
    if let entered = entered[address] { return Int(entered) }
    let number = address.number
    var low = 0
    var high = starts.count
    while low < high {
      let middle = (low + high) / 2
      if starts[middle] <= number { low = middle + 1 } else { high = middle }
    }
    return low == 0 ? 0 : Int(startClasses[low - 1])
  }

  /// Enters short stretches address by address; what lies around them stays one stretch.
  private mutating func enter(_ stretches: [Stretch], _ family: IPAddress.Family) {
    for (place, stretch) in stretches.enumerated() where stretch.class != startClasses.last {
      let end = place + 1 < stretches.count ? stretches[place + 1].start : nil
      if let end, end - stretch.start <= Self.enteredMaximum {
        for number in stretch.start..<end {
          entered.insert(stretch.class, for: IPPrefix(host: IPAddress(number, family)))
        }
      } else {
        starts.append(stretch.start)
        startClasses.append(stretch.class)
      }
    }
  }
}

extension AddressClasses {
  /// From where on addresses are of a class.
  struct Stretch {
    var start: UInt128
    var `class`: UInt32
  }

  /// Goes through the prefixes in order, those around the present one at hand.
  private struct Builder {
    var classes = [Class(parent: 0, list: 0)]
    var lists: [[UInt32]] = [[]]
    var stretches = [Stretch(start: 0, class: 0)]
    private var knownClasses = [Class(parent: 0, list: 0): UInt32(0)]
    private var knownLists: [[UInt32]: UInt32] = [[]: 0]
    private var around: [(last: UInt128, class: UInt32)] = []

    init() {}

    mutating func add(_ mentions: [Mention]) {
      let sorted = mentions.sorted { left, right in
        left.prefix == right.prefix ? left.item < right.item : left.prefix < right.prefix
      }
      var place = 0
      while place < sorted.count {
        let prefix = sorted[place].prefix
        var list: [UInt32] = []
        while place < sorted.count, sorted[place].prefix == prefix {
          if list.last != sorted[place].item { list.append(sorted[place].item) }
          place += 1
        }
        open(prefix, list)
      }
      while !around.isEmpty { closeInnermost() }
    }

    private mutating func open(_ prefix: IPPrefix, _ list: [UInt32]) {
      let first = prefix.address.number
      while let innermost = around.last, innermost.last < first { closeInnermost() }
      let new = Class(parent: around.last?.class ?? 0, list: number(of: list))
      let number = knownClasses[new] ?? UInt32(classes.count)
      if number == classes.count {
        classes.append(new)
        knownClasses[new] = number
      }
      around.append((prefix.lastAddress.number, number))
      begin(number, at: first)
    }

    private mutating func closeInnermost() {
      guard let innermost = around.popLast(), innermost.last != .max else { return }
      begin(around.last?.class ?? 0, at: innermost.last + 1)
    }

    private mutating func number(of list: [UInt32]) -> UInt32 {
      if let known = knownLists[list] { return known }
      knownLists[list] = UInt32(lists.count)
      lists.append(list)
      return UInt32(lists.count - 1)
    }

    private mutating func begin(_ class: UInt32, at start: UInt128) {
      if stretches.last?.start == start { stretches.removeLast() }
      if stretches.last?.class != `class` {
        stretches.append(Stretch(start: start, class: `class`))
      }
    }
  }
}
