// SPDX-License-Identifier: Apache-2.0

internal import JSON
package import Keys

/// A node's wish to have something of its posture written down: `PATCH /machine/set-device-attr`.
///
/// - Source: `Documentation/Protocols/control.md`, other requests.
package struct SetDeviceAttributesRequest: Hashable, Sendable {
  /// What an attribute may hold.
  package enum Value: Hashable, Sendable {
    /// A text.
    case text(String)
    /// A number.
    case number(Double)
    /// A truth value.
    case flag(Bool)
  }

  /// A request that cannot be understood.
  package struct Malformed: Error, CustomStringConvertible {
    /// What is wrong.
    package let description: String
  }

  /// The most attributes in one request.
  package static let maximumCount = 64

  /// What version of the protocol the node speaks.
  package var version: Int
  /// The node.
  package var nodeKey: NodeKey
  /// What is to be known under each name; nil where nothing is to be known any more.
  package var update: [String: Value?]

  /// Reads the JSON object.
  package init(json bytes: [UInt8]) throws(Malformed) {
    let tree: JSONValue
    do {
      tree = try JSONValue(json: bytes)
    } catch { throw Malformed(description: "\(error)") }
    guard let text = tree["NodeKey"]?.string, let key = NodeKey(text), !key.isZero else {
      throw Malformed(description: "NodeKey is missing.")
    }
    guard let members = tree["Update"]?.object?.members, members.count <= Self.maximumCount else {
      throw Malformed(description: "Update has to be an object of at most \(Self.maximumCount).")
    }
    version = tree["Version"]?.int ?? 0
    nodeKey = key
    update = [:]
    for (name, value) in members { update.updateValue(try Self.value(value), forKey: name) }
  }

  private static func value(_ value: JSONValue) throws(Malformed) -> Value? {
    switch value {
    case .null: return nil
    case .string(let text): return .text(text)
    case .bool(let flag): return .flag(flag)
    default:
      guard let number = value.double else {
        throw Malformed(description: "An attribute is a text, a number, true, false or null.")
      }
      return .number(number)
    }
  }
}
