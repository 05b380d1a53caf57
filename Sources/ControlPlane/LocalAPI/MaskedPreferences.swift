// SPDX-License-Identifier: Apache-2.0

package import JSON

/// An edit of preferences: values, and which of them are meant.
///
/// In JSON a preference that is meant has a companion: `"Hostname": "a", "HostnameSet": true`. A
/// value without its companion is ignored.
package struct MaskedPreferences: Hashable, Sendable {
  /// The values; those not named by `keys` mean nothing.
  package var values = Preferences()
  /// Which values are meant.
  ///
  /// `autoUpdate` is among them when either of its parts is meant.
  package var keys: Set<PreferenceKey> = []
  /// Which parts of `autoUpdate` are meant.
  package var autoUpdateParts: Set<AutoUpdatePart> = []

  /// A part of the preference about updates.
  package enum AutoUpdatePart: String, Hashable, Sendable, CaseIterable {
    case check = "CheckSet"
    case apply = "ApplySet"
  }

  /// An edit that changes nothing.
  package init() {}

  /// Sets a preference and says that it is meant.
  package mutating func set<Value>(
    _ key: PreferenceKey,
    _ path: WritableKeyPath<Preferences, Value>,
    _ value: Value
  ) {
    values[keyPath: path] = value
    insert(key)
  }

  /// Says that `key` is meant.
  package mutating func insert(_ key: PreferenceKey) {
    keys.insert(key)
    if key == .autoUpdate { autoUpdateParts = Set(AutoUpdatePart.allCases) }
  }

  /// An edit that makes `keys` equal to those of `preferences`.
  package init(_ keys: some Sequence<PreferenceKey>, of preferences: Preferences) {
    values = preferences
    for key in keys { insert(key) }
  }
}

extension MaskedPreferences: JSONReadable, JSONWritable {
  package init(reading reader: inout JSONReader) throws(JSONError) {
    self.init()
    var edit = self
    try reader.object { (key, reader) throws(JSONError) in
      if let field = Preferences.fields[key.text] {
        try field.read(&reader, &edit.values)
      } else if key.text.hasSuffix("Set"),
        let preference = PreferenceKey(rawValue: String(key.text.dropLast(3)))
      {
        try edit.readMask(of: preference, &reader)
      } else {
        try reader.skip()
      }
    }
    self = edit
  }

  private mutating func readMask(
    of key: PreferenceKey,
    _ reader: inout JSONReader
  ) throws(JSONError) {
    guard try !reader.null() else { return }
    guard key == .autoUpdate else {
      if try reader.bool() { keys.insert(key) }
      return
    }
    var parts = autoUpdateParts
    try reader.fields { (name, reader) throws(JSONError) in
      guard let part = AutoUpdatePart(rawValue: name.text) else { return try reader.skip() }
      if try reader.bool() { parts.insert(part) }
    }
    autoUpdateParts = parts
    if !parts.isEmpty { keys.insert(.autoUpdate) }
  }

  package func write(to writer: inout JSONWriter) {
    writer.object { writer in
      for field in Preferences.fields.all { field.write(values, &writer) }
      for key in PreferenceKey.allCases where keys.contains(key) {
        guard key == .autoUpdate else {
          writer.field(key.maskName, true)
          continue
        }
        writer.field(key.maskName) { writer in
          writer.object { writer in
            for part in AutoUpdatePart.allCases where autoUpdateParts.contains(part) {
              writer.field(part.rawValue, true)
            }
          }
        }
      }
    }
  }
}

extension Preferences {
  /// These preferences with `edit` made.
  ///
  /// - Throws: `PreferenceError` when a value is not for clients to set.
  package func applying(_ edit: MaskedPreferences) throws(PreferenceError) -> Preferences {
    guard !edit.keys.contains(.internalExitNodePrior) else { throw .internalField }
    var changed = self
    for key in edit.keys where key != .autoUpdate { key.field.copy(edit.values, &changed) }
    if edit.autoUpdateParts.contains(.check) {
      changed.autoUpdate.check = edit.values.autoUpdate.check
    }
    if edit.autoUpdateParts.contains(.apply) {
      changed.autoUpdate.apply = edit.values.autoUpdate.apply
    }
    if !edit.keys.isDisjoint(with: [.exitNodeID, .exitNodeIP]), !edit.keys.contains(.autoExitNode) {
      changed.autoExitNode = ""
    }
    if edit.keys.contains(.exitNodeID), changed.exitNodeID.isEmpty {
      changed.internalExitNodePrior = ""
    }
    return changed
  }

  /// The preferences that differ between this and `other`.
  package func differences(from other: Preferences) -> Set<PreferenceKey> {
    Set(PreferenceKey.allCases.filter { !$0.field.isEqual(self, other) })
  }
}
