// SPDX-License-Identifier: Apache-2.0

import Addressing
import CommandLine
import LocalAPI

/// What the flags of a command line said about preferences.
struct GivenSettings {
  var server = ServerFlags()
  var common = SettingFlags()
  var more = MoreSettingFlags()
}

/// One preference as the command line knows it: a flag, and the text of its value.
struct Setting: Sendable {
  /// The name of its flag.
  let name: String
  /// The preferences behind it.
  let keys: [PreferenceKey]
  /// Whether its flag alone means yes.
  let isSwitch: Bool
  /// Whether only `set` has it.
  let isSetOnly: Bool
  /// The text of its value: `true`, `alpha`, empty.
  let text: @Sendable (Preferences) -> String
  /// What its flag was given; nil when it was not.
  let given: @Sendable (GivenSettings) -> String?
  /// Puts a value into preferences; false when the text spells none.
  let put: @Sendable (String, inout Preferences) -> Bool

  /// A text.
  init(
    _ name: String,
    _ key: PreferenceKey...,
    setOnly: Bool = false,
    given: @escaping @Sendable (GivenSettings) -> String?,
    text: @escaping @Sendable (Preferences) -> String,
    put: @escaping @Sendable (String, inout Preferences) -> Bool
  ) {
    (self.name, self.keys, self.text, self.given, self.put) = (name, key, text, given, put)
    (isSwitch, isSetOnly) = (false, setOnly)
  }

  /// A text kept as it is.
  init(
    _ name: String,
    _ key: PreferenceKey,
    setOnly: Bool = false,
    at path: any WritableKeyPath<Preferences, String> & Sendable,
    given: @escaping @Sendable (GivenSettings) -> String?
  ) {
    self.init(
      name,
      key,
      setOnly: setOnly,
      given: given,
      text: { $0[keyPath: path] },
      put: {
        $1[keyPath: path] = $0
        return true
      }
    )
  }

  /// A switch.
  init(
    switch name: String,
    _ keys: PreferenceKey...,
    setOnly: Bool = false,
    given: @escaping @Sendable (GivenSettings) -> Bool?,
    isOn: @escaping @Sendable (Preferences) -> Bool,
    turn: @escaping @Sendable (Bool, inout Preferences) -> Void
  ) {
    (self.name, self.keys, isSwitch, isSetOnly) = (name, keys, true, setOnly)
    text = { String(isOn($0)) }
    self.given = { given($0).map { String($0) } }
    put = {
      turn($0 == "true", &$1)
      return true
    }
  }

  /// A switch kept as it is.
  init(
    switch name: String,
    _ key: PreferenceKey,
    setOnly: Bool = false,
    at path: any WritableKeyPath<Preferences, Bool> & Sendable,
    given: @escaping @Sendable (GivenSettings) -> Bool?
  ) {
    self.init(
      switch: name,
      key,
      setOnly: setOnly,
      given: given,
      isOn: { $0[keyPath: path] },
      turn: { $1[keyPath: path] = $0 }
    )
  }

  /// Whether this node does what the setting asks for.
  var isServed: Bool {
    let unserved = UnservedPreference.allCases.flatMap(\.keys) + [.corpDNS]
    return keys.allSatisfy { !unserved.contains($0) }
  }

  /// Why a value cannot be asked for that preferences have by default, though nothing comes of it.
  ///
  /// The daemon cannot tell such a question from a setting that was always so; whoever types it must
  /// not take silence for success.
  func objection(to text: String) -> String? {
    let asked: String? =
      switch (name, text) {
      case ("accept-dns", "true"): "using the network's DNS settings"
      case ("update-check", "true"): "looking for updates"
      case ("netfilter-mode", "on"): "managing the firewall"
      default: nil
      }
    return asked.map { "\($0) is not served yet (--\(name))" }
  }

  /// The flag with which the setting gets a value: `--ssh`, `--hostname=a`.
  func flag(_ text: String) -> String {
    isSwitch && text == "true" ? "--\(name)" : "--\(name)=\(Self.quoted(text))"
  }

  /// `text` as a shell takes it.
  private static func quoted(_ text: String) -> String {
    let plain = text.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"):
        true
      default: "-_./:,@+=%".utf8.contains(byte)
      }
    }
    guard !plain else { return text }
    let escaped = text.split(separator: "'", omittingEmptySubsequences: false)
    return "'" + escaped.joined(separator: "'\\''") + "'"
  }
}
