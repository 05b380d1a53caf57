// SPDX-License-Identifier: Apache-2.0

package import ControlProtocol
package import JSON

/// Who is behind an address.
package struct WhoIsResponse: LocalValue, JSONReadable, JSONWritable {
  /// The node.
  package var node: Node
  /// The user who owns it.
  package var userProfile: UserProfile
  /// What the peer may do to us; nil when nothing was granted.
  package var capMap: [String: [JSONValue]]?

  /// A node and its owner.
  package init(node: Node, userProfile: UserProfile, capMap: [String: [JSONValue]]? = nil) {
    (self.node, self.userProfile, self.capMap) = (node, userProfile, capMap)
  }

  package init(reading reader: inout JSONReader) throws(JSONError) {
    var node: Node?
    var profile = UserProfile()
    var capMap: [String: [JSONValue]]?
    try reader.fields { (key, reader) throws(JSONError) in
      switch key {
      case "Node": node = try Node(reading: &reader)
      case "UserProfile": profile = try UserProfile(reading: &reader)
      case "CapMap": capMap = try [String: [JSONValue]](local: &reader)
      default: try reader.skip()
      }
    }
    guard let node else { throw reader.invalid("answer: it has no Node") }
    self.init(node: node, userProfile: profile, capMap: capMap)
  }

  package func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("Node", node)
      writer.field("UserProfile", userProfile)
      writer.name("CapMap")
      capMap.writeLocal(to: &writer)
    }
  }

  package var saysNothing: Bool { false }

  /// This answer as text, indented.
  package func text(indentation: String) -> String {
    var writer = JSONWriter(indentation: indentation)
    write(to: &writer)
    return writer.text
  }
}
