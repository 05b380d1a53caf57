// SPDX-License-Identifier: Apache-2.0

import CommandLine

/// Where the key comes from with which a machine joins without a person at its screen.
///
/// A key is never put into a message, and needs not be put into arguments, which everyone on a
/// machine can read: a file or the environment will do.
enum AuthKeySource {
  /// The variables that hold a key, the first one first.
  private static let variables = ["MARTLET_AUTHKEY", "TS_AUTHKEY"]

  /// The key that the flag names; nil when the flag was not given.
  static func key(fromFlag text: String?) throws(CommandError) -> String? {
    guard let text else { return nil }
    guard text.hasPrefix("file:") else { return try checked(text, of: "--auth-key") }
    let path = String(text.dropFirst(5))
    guard let bytes = try SmallFile.read(path) else {
      throw CommandError(
        "cannot read the auth key in \(path): no such file",
        hint: "Write the key into it, or give it as --auth-key=KEY.",
        code: .failure
      )
    }
    return try checked(String(decoding: bytes, as: UTF8.self), of: path)
  }

  /// The key in the environment; nil when there is none.
  static func key(from environment: [String: String]) throws(CommandError) -> String? {
    for variable in variables {
      guard let text = environment[variable], !text.isEmpty else { continue }
      return text.hasPrefix("file:") ? try key(fromFlag: text) : try checked(text, of: variable)
    }
    return nil
  }

  /// A key is one printable word; what surrounds it in a file is none of it.
  private static func checked(_ text: String, of place: String) throws(CommandError) -> String {
    let words = text.split { $0.isWhitespace || $0.isNewline }
    guard words.count == 1, words[0].utf8.count <= 4096,
      words[0].utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F })
    else {
      throw CommandError(
        "what \(place) holds is not an auth key: it is one word",
        hint: "'martlet-control preauthkeys create' makes one.",
        code: .usage
      )
    }
    return String(words[0])
  }
}
