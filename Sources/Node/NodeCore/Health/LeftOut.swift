// SPDX-License-Identifier: Apache-2.0

/// What of a network map a node leaves out because it holds more than its bounds allow.
struct LeftOut: Hashable, Sendable {
  /// Peers for which there are no places.
  var peers: Int
  /// Rules of the packet filter that do not fit.
  var rules: Int

  /// What peers and rules there are, against their bounds.
  init(peers: Int, of bound: Int, rules: Int) {
    (self.peers, self.rules) = (max(0, peers - bound), rules)
  }

  /// What people are told; nil when nothing is left out.
  var text: String? {
    var parts: [String] = []
    if peers > 0 { parts.append("\(peers) peers, which cannot be reached") }
    if rules > 0 {
      parts.append("\(rules) rules of the packet filter, so what they allow is refused")
    }
    guard !parts.isEmpty else { return nil }
    return "The network map is larger than this node takes. Left out are "
      + parts.joined(separator: ", and ") + ". Narrow what the policy lets this node see."
  }
}
