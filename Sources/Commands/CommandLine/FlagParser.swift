// SPDX-License-Identifier: Apache-2.0

/// Reads flags in the way of Go programs, which scripts rely on.
///
/// `-x` and `--x` are one; a value follows after `=` or as the next argument; a switch takes its
/// value after `=` only; a flag is given at most once; `--` ends the flags. Unlike Go, flags may
/// also follow other arguments.
package struct FlagParser: Sendable {
  private let flags: [String: any AnyFlag]
  private let aliases: [String: String]
  private let refusals: [String: String]
  private let environmentPrefix: String?

  /// A parser for `flags`.
  ///
  /// - Parameters:
  ///   - flags: What is accepted.
  ///   - aliases: Old names and what they are called now.
  ///   - refusals: Names that are known and not accepted, with the reason.
  ///   - environmentPrefix: When given, every flag has a variable: `MARTLET_` makes
  ///     `--state-dir` `MARTLET_STATE_DIR`.
  package init(
    _ flags: [any AnyFlag],
    aliases: [String: String] = [:],
    refusals: [String: String] = [:],
    environmentPrefix: String? = nil
  ) {
    self.flags = Dictionary(flags.map { ($0.name, $0) }) { _, last in last }
    self.environmentPrefix = environmentPrefix
    (self.aliases, self.refusals) = (aliases, refusals)
  }

  /// The values in `arguments`, over those in the environment, over those in `file`.
  ///
  /// - Throws: `CommandError` that names the flag, the variable or the key at fault.
  package func parse(
    _ arguments: [String],
    environment: [String: String] = [:],
    file: SettingsFile? = nil
  ) throws(CommandError) -> Arguments {
    var values: [String: (text: String, source: Arguments.Source)] = [:]
    if let file { try read(file, into: &values) }
    for flag in flags.values {
      guard let variable = variable(for: flag), let text = environment[variable], !text.isEmpty
      else {
        continue
      }
      guard flag.accepts(text) else {
        throw .usage(
          "invalid value \"\(maskingKeys(text))\" in the environment variable \(variable)",
          hint: "It takes \(expectation(flag))."
        )
      }
      values[flag.name] = (text, .environment)
    }
    let rest = try read(arguments, into: &values)
    return Arguments(values: values, rest: rest)
  }

  private func variable(for flag: any AnyFlag) -> String? {
    flag.environment ?? environmentPrefix.map { $0 + flag.variableSuffix }
  }

  private func read(
    _ file: SettingsFile,
    into values: inout [String: (text: String, source: Arguments.Source)]
  ) throws(CommandError) {
    for (name, text) in file.values.sorted(by: { $0.key < $1.key }) {
      guard let flag = flags[name] else {
        let known = flags.keys.sorted().joined(separator: ", ")
        throw CommandError(
          "unknown key \"\(maskingKeys(name))\" in \(file.path)",
          hint: "Known keys: \(known).",
          code: .configuration
        )
      }
      guard flag.accepts(text) else {
        throw CommandError(
          "invalid value \"\(maskingKeys(text))\" for \"\(name)\" in \(file.path)",
          hint: "It takes \(expectation(flag)).",
          code: .configuration
        )
      }
      values[name] = (text, .file)
    }
  }

  private func read(
    _ arguments: [String],
    into values: inout [String: (text: String, source: Arguments.Source)]
  ) throws(CommandError) -> [String] {
    var rest: [String] = []
    var waiting = arguments[...]
    while let argument = waiting.popFirst() {
      if argument == "--" { return rest + waiting }
      guard argument.hasPrefix("-"), argument != "-" else {
        rest.append(argument)
        continue
      }
      let body = argument.drop { $0 == "-" }
      guard argument.count - body.count <= 2, !body.isEmpty, !body.hasPrefix("=") else {
        throw .usage("bad flag syntax: \(maskingKeys(argument))")
      }
      let parts = body.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let flag = try flag(named: String(parts[0]))
      let text: String
      if parts.count == 2 {
        text = String(parts[1])
      } else if flag.isSwitch {
        text = "true"
      } else if let next = waiting.popFirst() {
        text = next
      } else {
        throw .usage("flag needs an argument: --\(flag.name)")
      }
      guard values[flag.name]?.source != .flag else {
        throw .usage("flag provided multiple times: --\(flag.name)")
      }
      guard flag.accepts(text) else {
        throw .usage(
          "invalid value \"\(maskingKeys(text))\" for flag --\(flag.name)",
          hint: "It takes \(expectation(flag))."
        )
      }
      values[flag.name] = (text, .flag)
    }
    return rest
  }

  private func flag(named given: String) throws(CommandError) -> any AnyFlag {
    let name = aliases[given] ?? given
    if let flag = flags[name] { return flag }
    if let reason = refusals[name] { throw .usage("--\(name): \(reason)") }
    throw .usage(
      "flag provided but not defined: --\(maskingKeys(given))",
      hint: "--help lists the flags."
    )
  }

  private func expectation(_ flag: any AnyFlag) -> String {
    switch flag.placeholder {
    case "": "true or false"
    case "duration": "a duration such as 30s, 5m or 90d"
    case "int": "a whole number"
    case "uint": "a whole number from 0 to 65535"
    default: "a \(flag.placeholder)"
    }
  }
}
