// SPDX-License-Identifier: Apache-2.0

import Bytes
import ControlProtocol
package import Cryptography
package import JSON
package import Keys
package import LocalAPI

/// What a node remembers between starts: the machine's key, and the preferences of its network.
///
/// Kept as one JSON object of base64 values under the original's names, so that a node can move
/// either way. Values that this node does not know are kept as they are.
///
/// - Source: `Documentation/Protocols/localapi.md`, state on disk.
package struct NodeState: Hashable, Sendable {
  private enum Entry {
    static let machineKey = "_machinekey"
    static let discoKey = "_martlet-discokey"
    static let currentProfile = "_current-profile"
    static let profiles = "_profiles"
  }

  private var entries: [String: [UInt8]] = [:]
  /// The machine's key; it outlives logins.
  package private(set) var machineKey: MachinePrivateKey
  /// The preferences, the node's keys among them.
  package private(set) var preferences: Preferences

  /// The state of a node that never ran.
  package init(using entropy: inout Entropy) {
    machineKey = .generate(using: &entropy)
    preferences = Self.loggedOut
  }

  /// Reads the content of the state file; a file without a machine key gets a fresh one.
  ///
  /// - Throws: `JSONError` when it is not an object of base64 values, or one of ours is damaged.
  package init(parsing bytes: [UInt8], using entropy: inout Entropy) throws(JSONError) {
    var entries: [String: [UInt8]] = [:]
    try JSONReader.read(bytes) { (reader) throws(JSONError) in
      try reader.object { (key, reader) throws(JSONError) in
        entries[key.text] = try reader.base64()
      }
    }
    if let text = entries.removeValue(forKey: Entry.machineKey) {
      guard let key = MachinePrivateKey(String(decoding: text, as: UTF8.self)) else {
        throw JSONReader(bytes).invalid("a machine key")
      }
      machineKey = key
    } else {
      machineKey = .generate(using: &entropy)
    }
    if let stored = entries[Self.currentEntry(in: entries)] {
      preferences = try Preferences(json: stored)
    } else {
      preferences = Self.loggedOut
    }
    self.entries = entries
  }

  /// The name under which the preferences are kept: `profile-1a2b`.
  package var profileKey: String { Self.currentEntry(in: entries) }

  /// The content of the state file.
  package var encoded: [UInt8] {
    var entries = entries
    entries[Entry.machineKey] = Array(machineKey.text.utf8)
    var writer = JSONWriter(indentation: "  ")
    writer.object { writer in
      for (name, value) in entries.sorted(by: { $0.key < $1.key }) {
        writer.field(name, base64: value)
      }
    }
    return writer.bytes + [0x0A]
  }

  /// The discovery key of the last run, under which peers know this node until they hear otherwise.
  package var discoKey: DiscoPrivateKey? {
    get { entries[Entry.discoKey].flatMap { DiscoPrivateKey(String(decoding: $0, as: UTF8.self)) } }
    set { entries[Entry.discoKey] = newValue.map { Array($0.text.utf8) } }
  }

  /// Remembers these preferences.
  package mutating func remember(_ preferences: Preferences, using entropy: inout Entropy) {
    self.preferences = preferences
    if entries[Entry.currentProfile] == nil {
      entries[Entry.currentProfile] = Array("profile-\(Hex.encode(entropy.bytes(2)))".utf8)
    }
    let name = Self.currentEntry(in: entries)
    entries[name] = Array(preferences.text(indentation: "\t").utf8)
    entries[Entry.profiles] = profiles(named: name)
  }

  /// Forgets the network, its keys and its preferences, but not the machine's key.
  package mutating func forgetNetwork() {
    entries[Self.currentEntry(in: entries)] = nil
    entries[Entry.currentProfile] = nil
    entries[Entry.profiles] = nil
    entries[Entry.discoKey] = nil
    preferences = Self.loggedOut
  }

  /// The list of profiles, as other programs read it.
  private func profiles(named name: String) -> [UInt8] {
    let id = String(name.dropFirst("profile-".count))
    let user = preferences.config?.userProfile
    let called = preferences.profileName
    var writer = JSONWriter()
    writer.object { writer in
      writer.field(id) { writer in
        writer.object { writer in
          writer.field("ID", id)
          writer.field("Name", called.isEmpty ? user?.loginName ?? "" : called)
          writer.field("Key", name)
          writer.field("UserProfile", orNull: user)
          writer.field("NodeID", preferences.config?.nodeID ?? "")
          writer.field("ControlURL", preferences.controlURL)
        }
      }
    }
    return writer.bytes
  }

  private static var loggedOut: Preferences {
    var preferences = Preferences()
    preferences.loggedOut = true
    return preferences
  }

  private static func currentEntry(in entries: [String: [UInt8]]) -> String {
    entries[Entry.currentProfile].map { String(decoding: $0, as: UTF8.self) } ?? "profile-0000"
  }
}

extension NodeState: CustomStringConvertible, CustomReflectable {
  /// Never the secrets.
  package var description: String { "NodeState([redacted])" }
  /// Nothing, so that a dump shows no secret either.
  package var customMirror: Mirror { Mirror(self, children: []) }
}
