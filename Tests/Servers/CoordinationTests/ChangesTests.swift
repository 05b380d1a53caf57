// SPDX-License-Identifier: Apache-2.0

import Coordination
import Testing

@Suite("The change log")
struct ChangesTests {
  @Test("A run of changes tells of each node once, and of its end above all")
  func summary() {
    let (a, b, c) = (NodeID(1), NodeID(2), NodeID(3))
    let summary = ChangeSummary([
      .patch(a, .endpoints), .node(a), .patch(a, .online), .patch(b, .endpoints),
      .patch(b, .online), .node(c), .removed(c), .relayMap,
    ])
    #expect(summary.nodes == [a] && summary.removed == [c] && summary.relayMap)
    #expect(summary.patches == [b: [.endpoints, .online]])
  }

  @Test("What is kept is bounded; who fell behind is told so")
  func bound() {
    var log = ChangeLog()
    for number in 1...Int64(3 * ChangeLog.maximumCount) {
      let given = log.append(.node(NodeID(number)))
      #expect(given == number)
    }
    let head = log.head
    #expect(log.changes(after: head, through: head)?.isEmpty == true)
    #expect(log.changes(after: head - 1, through: head).map(Array.init) == [.node(NodeID(head))])
    let oldest = head - Int64(ChangeLog.maximumCount)
    #expect(log.changes(after: oldest, through: head)?.count == ChangeLog.maximumCount)
    #expect(log.changes(after: oldest - 1, through: head) == nil)
    #expect(
      log.changes(after: oldest, through: oldest + 2).map(Array.init)
        == [.node(NodeID(oldest + 1)), .node(NodeID(oldest + 2))]
    )
  }

  @Test("After a restart every stream has to begin anew")
  func restart() {
    var log = ChangeLog(head: 10)
    log.append(.relayMap)
    log.restart()
    let head = log.head
    #expect(head == 12 && log.changes(after: 11, through: 12) == nil)
    #expect(log.changes(after: 12, through: 12)?.isEmpty == true)
  }
}
