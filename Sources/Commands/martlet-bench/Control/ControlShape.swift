// SPDX-License-Identifier: Apache-2.0

import JSON

/// A tailnet as large organisations have them: people in groups, machines with tags, fifty rules.
struct ControlShape {
  static let users = 50
  static let groups = 10
  static let tags = 20
  static let rules = 50
  /// The tag that a change of the policy concerns, and the rule that it changes.
  static let touchedTag = 7

  let nodes: Int

  /// How many nodes have each tag.
  var nodesOfTag: Int { min(20, nodes / (2 * Self.tags)) }

  /// Who owns a node: the number of a tag, or of a user.
  func owner(of number: Int) -> (tag: Int?, user: Int) {
    // Tagged ones are spread over the whole range.
    let tagged = nodesOfTag * Self.tags
    let stride = max(1, nodes / max(1, tagged))
    let place = number / stride
    if tagged > 0, number % stride == 0, place < tagged { return (place % Self.tags, 0) }
    return (nil, number % Self.users)
  }

  static func user(_ number: Int) -> String { "user\(number)" }
  static func tag(_ number: Int) -> String { "tag:t\(number)" }

  /// The policy: everybody sees everybody, and each group reaches more on the machines of some tags.
  func policy(touchedPort: Int) -> String {
    let groups = (0..<Self.groups).map { group -> (String, JSONValue) in
      let members = (0..<Self.users).filter { $0 % Self.groups == group }
      return ("group:g\(group)", .array(members.map { .string(Self.user($0) + "@") }))
    }
    let owners = (0..<Self.tags).map { (Self.tag($0), ["group:g0"] as JSONValue) }
    var rules: [JSONValue] = [["action": "accept", "src": ["*"], "dst": ["*:443"]]]
    for rule in 1..<Self.rules {
      let tag = rule % Self.tags
      let port = tag == Self.touchedTag && rule < Self.tags ? touchedPort : 8000 + rule
      rules.append([
        "action": "accept", "src": [.string("group:g\(rule % Self.groups)")],
        "dst": [.string("\(Self.tag(tag)):\(port)")],
      ])
    }
    let policy: JSONValue = [
      "groups": object(groups), "tagOwners": object(owners), "acls": .array(rules),
    ]
    return policy.text()
  }

  private func object(_ members: [(String, JSONValue)]) -> JSONValue {
    .object(members.reduce(into: JSONObject()) { $0[$1.0] = $1.1 })
  }
}
