// SPDX-License-Identifier: Apache-2.0

/// A failure told to a person: what happened, and what to do about it.
package struct CommandError: Error, Hashable, Sendable {
  /// How the process ends.
  package var code: ExitCode
  /// What happened, to what; without the program's name and without a final period.
  package var message: String
  /// What to do about it; empty when the message says it all.
  package var hint: String

  /// A failure with its message, what to do, and the code to end with.
  package init(_ message: String, hint: String = "", code: ExitCode = .failure) {
    (self.message, self.hint, self.code) = (message, hint, code)
  }

  /// A command that was not understood.
  package static func usage(_ message: String, hint: String = "") -> CommandError {
    CommandError(message, hint: hint, code: .usage)
  }

  /// The text for standard error.
  ///
  /// `program: what happened. What to do.`
  package func text(program: String) -> String {
    let told = program + ": " + message
    guard !hint.isEmpty else { return told }
    return (".!?".contains(message.last ?? " ") ? told : told + ".") + " " + hint
  }
}

/// Hides what looks like an authentication key inside text that is about to be printed.
///
/// Anything like `martlet-auth-abc` or `tskey-auth-abc` keeps its first word only. Keys typed at
/// the wrong place must not end up in a terminal's history or a log.
package func maskingKeys(_ text: String) -> String {
  let characters = Array(text.utf8)
  var masked: [UInt8] = []
  var index = 0
  while index < characters.count {
    guard let marker = keyMarkers.first(where: { characters[index...].starts(with: $0) }) else {
      masked.append(characters[index])
      index += 1
      continue
    }
    masked += marker
    index += marker.count
    while index < characters.count, isKeyCharacter(characters[index]) {
      masked.append(UInt8(ascii: "X"))
      index += 1
    }
  }
  return String(decoding: masked, as: UTF8.self)
}

private let keyMarkers = [
  "skey-", "martlet-auth-", "martlet-api-", "martlet-client-", "martlet-token-",
].map { Array($0.utf8) }

private func isKeyCharacter(_ character: UInt8) -> Bool {
  switch character {
  case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
    UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "-"), UInt8(ascii: "_"):
    true
  default: false
  }
}
