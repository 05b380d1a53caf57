// SPDX-License-Identifier: Apache-2.0

internal import Coordination
internal import JSON
internal import Timing

// How what is known of a node's posture becomes a column, and a column what is known.

extension SQLiteStore {
  static func text(of attributes: [String: NodeAttribute]) -> String {
    var object = JSONObject()
    for (name, attribute) in attributes.sorted(by: { $0.key < $1.key }) {
      var entry = JSONObject()
      entry["value"] =
        switch attribute.value {
        case .text(let text): .string(text)
        case .number(let number): .number(number)
        case .flag(let flag): .bool(flag)
        }
      entry["source"] = .string(attribute.source.rawValue)
      if let expiry = attribute.expiry { entry["expiry"] = .string(expiry.description) }
      object[name] = .object(entry)
    }
    return JSONValue.object(object).text()
  }

  static func attributes(in text: String) -> [String: NodeAttribute]? {
    // Text that is no object is reported with its row.
    guard case .object(let object)? = try? JSONValue(parsing: text) else { return nil }
    var result: [String: NodeAttribute] = [:]
    for (name, entry) in object {
      guard let value = entry["value"].flatMap(value),
        let source = entry["source"]?.string.flatMap(NodeAttribute.Source.init)
      else { return nil }
      var expiry: Timestamp?
      if let text = entry["expiry"]?.string {
        guard let time = Timestamp(text) else { return nil }
        expiry = time
      }
      result[name] = NodeAttribute(value, from: source, until: expiry)
    }
    return result
  }

  private static func value(_ value: JSONValue) -> PostureValue? {
    switch value {
    case .string(let text): .text(text)
    case .bool(let flag): .flag(flag)
    default: value.double.map { .number($0) }
    }
  }
}
