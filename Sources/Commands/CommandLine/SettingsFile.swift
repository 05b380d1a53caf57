// SPDX-License-Identifier: Apache-2.0

import JSON

/// A configuration file: a JSON object whose keys are the names of flags.
///
/// What belongs together may stand in an object of its own, as in other programs' files.
package struct SettingsFile: Sendable {
  /// Where it was read.
  package let path: String
  /// Each key with its value as a flag would be given it; lists are joined with commas.
  package let values: [String: String]

  /// Reads the file at `path`.
  ///
  /// - Returns: nil when there is no such file and `isRequired` is false.
  /// - Throws: `CommandError` when it is missing though required, unreadable, or not such an object.
  package static func read(
    _ path: String,
    isRequired: Bool
  ) throws(CommandError) -> SettingsFile? {
    guard let bytes = try SmallFile.read(path) else {
      guard isRequired else { return nil }
      throw CommandError(
        "cannot read \(path): no such file",
        hint: "Create it, or leave out --config.",
        code: .configuration
      )
    }
    return try SettingsFile(bytes, path: path)
  }

  /// Takes apart the content of a file.
  package init(_ bytes: [UInt8], path: String) throws(CommandError) {
    let tree: JSONValue
    do {
      tree = try JSONValue(parsing: bytes)
    } catch {
      throw CommandError("\(path) is not JSON: \(error)", code: .configuration)
    }
    guard let fields = tree.object else {
      throw CommandError(
        "\(path) is not a JSON object",
        hint: "Write {\"flag-name\": value, ...}.",
        code: .configuration
      )
    }
    var values: [String: String] = [:]
    for (key, value) in Self.flat(fields, depth: 0) {
      guard let text = Self.text(value) else {
        throw CommandError(
          "the value of \"\(key)\" in \(path) is neither text, a number, true, false nor a list",
          code: .configuration
        )
      }
      values[key] = text
    }
    (self.path, self.values) = (path, values)
  }

  /// How deep keys may lie.
  private static let maximumDepth = 3

  /// The members with their whole names: `{"oidc": {"client_id": "x"}}` is `oidc-client-id`.
  private static func flat(_ fields: JSONObject, depth: Int) -> [(String, JSONValue)] {
    fields.members.flatMap { key, value -> [(String, JSONValue)] in
      guard case .object(let inner) = value, inner.count > 0, depth < maximumDepth else {
        return [(key, value)]
      }
      return flat(inner, depth: depth + 1).map { name, value in
        (key + "-" + String(name.map { $0 == "_" ? "-" : $0 }), value)
      }
    }
  }

  private static func text(_ value: JSONValue) -> String? {
    switch value {
    case .string(let text): text
    case .bool(let isOn): isOn ? "true" : "false"
    case .array(let elements):
      elements.reduce(into: String?.some("")) { list, element in
        guard case .string(let text) = element else {
          list = nil
          return
        }
        list = list.map { $0.isEmpty ? text : $0 + "," + text }
      }
    case .integer(let number): String(number)
    default: nil
    }
  }
}
