// SPDX-License-Identifier: Apache-2.0

import CommandLine
import LocalAPI

/// Keeps `up` from dropping settings that its flags do not mention.
///
/// `up` sets every one of its settings, those that are not mentioned to their defaults. Somebody who
/// forgets one would lose it without a word.
enum RevertCheck {
  /// The settings that would change without having been mentioned.
  static func reverted(
    from current: Preferences,
    to wanted: Preferences,
    given: [Setting]
  ) -> [Setting] {
    let mentioned = Set(given.map(\.name))
    return Setting.ofUp.filter { setting in
      let (before, after) = (setting.text(current), setting.text(wanted))
      return before != after && !mentioned.contains(setting.name)
        && !isHarmless(setting.name, before, after)
    }
  }

  /// The refusal, with the command that mentions everything.
  static func refusal(
    _ reverted: [Setting],
    from current: Preferences,
    to wanted: Preferences,
    given: [Setting],
    verb: String
  ) -> CommandError {
    let flags =
      given.map { $0.flag($0.text(wanted)) } + reverted.map { $0.flag($0.text(current)) }
    return CommandError(
      """
      changing settings via 'martlet \(verb)' requires mentioning all
      non-default flags. To proceed, either re-run your command with --reset or
      use the command below to explicitly mention the current value of
      all non-default settings:

      \tmartlet \(verb) \(flags.joined(separator: " "))
      """
    )
  }

  /// A change of the original's defaults, not of anybody's mind.
  private static func isHarmless(_ name: String, _ before: String, _ after: String) -> Bool {
    name == "stateful-filtering" && before == "true" && after == "false"
  }
}
