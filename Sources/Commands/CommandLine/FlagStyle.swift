// SPDX-License-Identifier: Apache-2.0

package import ArgumentParser

/// Brings flags written in the way of Go programs, which scripts rely on, into the one form that
/// ArgumentParser reads without guessing: `--name=value`.
///
/// `-name` and `--name` are one; a value follows after `=` or as the next argument, whatever it looks
/// like; a switch takes its value after `=` only, and alone means yes; a flag is given at most once;
/// `--` ends the flags. What the flags of a command are, and what they hold, is ArgumentParser's.
package struct FlagStyle: Sendable {
  /// Flags that ArgumentParser itself knows everywhere.
  private static let builtIn: Set<String> = [
    "help", "help-hidden", "version", "experimental-dump-help",
  ]
  /// What stands for the value of a switch in help; it tells switches from other options.
  static let switchValueName = "true|false"

  /// Columns of help, so many that no line is broken.
  private static let wide = 4096

  /// Options that alone mean yes.
  private(set) var switches: Set<String> = []
  /// Flags that ArgumentParser gives no value.
  private(set) var flags: Set<String> = []
  private let aliases: [String: String]
  private let refusals: [String: String]

  /// The style of the program whose commands hang below `root`.
  ///
  /// - Parameters:
  ///   - root: Tells which flags are switches, all over the tree.
  ///   - aliases: Old names and what they are called now.
  ///   - refusals: Names that are known and not accepted, with the reason.
  package init<Root: ParsableCommand>(
    of root: Root.Type,
    aliases: [String: String] = [:],
    refusals: [String: String] = [:]
  ) {
    self.refusals = refusals
    self.aliases = aliases.merging(["h": "help", "V": "version"]) { own, _ in own }
    learn(root, below: root)
    precondition(flags.contains("help"), "ArgumentParser writes help in another way than it did")
  }

  /// Notes the flags and switches of a command and of those below it, as its help lists them: one a
  /// line, the names first.
  private mutating func learn<Root: ParsableCommand>(
    _ command: any ParsableCommand.Type,
    below root: Root.Type
  ) {
    let help = root.helpMessage(for: command, includeHidden: true, columns: Self.wide)
    for line in help.split(separator: "\n") where line.hasPrefix("  -") {
      let words = line.split(separator: " ").prefix { $0.hasPrefix("-") || $0.hasPrefix("<") }
      let names = words.filter { $0.hasPrefix("-") }
        .map { name in String(name.drop { $0 == "-" }.prefix { $0 != "," }) }
      switch words.last {
      case "<\(Self.switchValueName)>": switches.formUnion(names)
      case let value? where value.hasPrefix("<"): break
      default: flags.formUnion(names)
      }
    }
    for subcommand in command.configuration.subcommands { learn(subcommand, below: root) }
  }

  /// The arguments in the form that ArgumentParser reads.
  ///
  /// - Throws: `CommandError` when they are not of this style.
  package func normalize(_ arguments: [String]) throws(CommandError) -> [String] {
    var normal: [String] = []
    var given: Set<String> = []
    var waiting = arguments[...]
    while let argument = waiting.popFirst() {
      if argument == "--" { return normal + [argument] + waiting }
      guard argument.hasPrefix("-"), argument != "-" else {
        normal.append(argument)
        continue
      }
      let body = argument.drop { $0 == "-" }
      guard argument.count - body.count <= 2, !body.isEmpty, !body.hasPrefix("=") else {
        throw .usage("bad flag syntax: \(maskingKeys(argument))")
      }
      let parts = body.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let name = aliases[String(parts[0])] ?? String(parts[0])
      if let reason = refusals[name] { throw .usage("--\(name): \(reason)") }
      guard !Self.builtIn.contains(name) else {
        normal.append("--" + name)
        continue
      }
      guard given.insert(name).inserted else {
        throw .usage("flag provided multiple times: --\(maskingKeys(name))")
      }
      let value = parts.count == 2 ? String(parts[1]) : nil
      if switches.contains(name) || flags.contains(name) {
        normal += try turn(name, value)
      } else {
        normal += Self.set(name, value ?? waiting.popFirst())
      }
    }
    return normal
  }

  private func turn(_ name: String, _ value: String?) throws(CommandError) -> [String] {
    guard let isOn = value.map({ Bool(settingText: $0) }) ?? true else {
      throw .usage(
        "invalid value \"\(maskingKeys(value ?? ""))\" for flag --\(name)",
        hint: "It takes true or false."
      )
    }
    guard flags.contains(name) else { return ["--\(name)=\(isOn)"] }
    return isOn ? [Self.dashes(name) + name] : []
  }

  private static func set(_ name: String, _ value: String?) -> [String] {
    guard let value else { return [dashes(name) + name] }
    // After `=` an empty value would be none.
    let isApart = name.count == 1 || value.isEmpty
    return isApart ? [dashes(name) + name, value] : ["--\(name)=\(value)"]
  }

  private static func dashes(_ name: String) -> String { name.count == 1 ? "-" : "--" }
}
