// SPDX-License-Identifier: Apache-2.0

package import Keys

// What nodes ask and tell besides registration and maps.

extension Tailnet {
  /// How much of what a node tells about an act is kept.
  package static let maximumReportLength = 512

  /// The node that holds `key`, when it lives on `machine` and may talk to others.
  package func member(_ key: NodeKey, on machine: MachineKey, at now: Moment) -> NodeRecord? {
    guard let node = node(with: key), node.machineKey == machine, node.mayTalk(at: now.time) else {
      return nil
    }
    return node
  }

  /// Writes down that a node is asked something by an administrator.
  package mutating func noteQuestion(
    to id: NodeID,
    _ question: String,
    by actor: String,
    at now: Moment,
    into effects: inout Effects
  ) throws(Refusal) {
    let node = try existing(id)
    audit(
      actor,
      "node.ask",
      node,
      NodeName.printable(String(question.prefix(Self.maximumReportLength))),
      at: now,
      into: &effects
    )
  }

  /// Writes down what a person did at a node that the network's owners want to know of, such as
  /// disconnecting it.
  package func report(
    _ action: String,
    _ details: String,
    by key: NodeKey,
    on machine: MachineKey,
    at now: Moment,
    into effects: inout Effects
  ) throws(Refusal) {
    guard let node = member(key, on: machine, at: now) else {
      throw .notFound("No such node is registered by this machine.")
    }
    let isWord = action.utf8.allSatisfy { (0x41...0x5A).contains($0) || $0 == 0x5F }
    guard isWord, (1...64).contains(action.utf8.count) else {
      throw .invalid("Action has to be a word such as DISCONNECT_NODE.")
    }
    let told = NodeName.printable(String(details.prefix(Self.maximumReportLength)))
    audit(
      "node \(node.id) \(node.name)",
      "node.report",
      node,
      "\(action) \(told)",
      at: now,
      into: &effects
    )
  }
}
