// SPDX-License-Identifier: Apache-2.0

/// A command, or a group of commands, with its flags, its help and what it does.
package struct Command: Sendable {
  /// What an action is given.
  package struct Invocation: Sendable {
    /// Flags and arguments.
    package let arguments: Arguments
    /// Where to write.
    package let output: Output
    /// The process's environment.
    package let environment: [String: String]
    /// The words that led here: `["martlet", "up"]`.
    package let path: [String]
  }

  /// What a command does.
  package typealias Action = @Sendable (Invocation) async throws -> Void

  /// The word that calls it.
  package let name: String
  /// One line for the list of commands.
  package let summary: String
  /// How to call it, after the words that lead here: `[flags] <host>`.
  package let usage: String
  /// What else help tells.
  package let discussion: String
  /// Its flags; those of the commands above it are accepted too.
  package let flags: [any AnyFlag]
  /// Old names of flags and what they are called now.
  package let aliases: [String: String]
  /// Names of flags that are known and not accepted, with the reason.
  package let refusals: [String: String]
  /// The commands below it.
  package let subcommands: [Command]
  /// The flag that names the configuration file, and the file read when it is not given.
  package let settings: (flag: Flag<String>, defaultPath: String)?
  /// What the environment variables of all its flags start with, if they have any.
  package let environmentPrefix: String?
  /// Whether lists leave it out.
  package let isHidden: Bool
  let action: Action?

  /// A command; without an action it only groups the ones below it.
  package init(
    _ name: String,
    summary: String,
    usage: String = "[flags]",
    discussion: String = "",
    flags: [any AnyFlag] = [],
    aliases: [String: String] = [:],
    refusals: [String: String] = [:],
    subcommands: [Command] = [],
    settings: (flag: Flag<String>, defaultPath: String)? = nil,
    environmentPrefix: String? = nil,
    isHidden: Bool = false,
    action: Action? = nil
  ) {
    (self.name, self.summary, self.usage, self.discussion) = (name, summary, usage, discussion)
    (self.flags, self.aliases, self.refusals) = (flags, aliases, refusals)
    (self.subcommands, self.settings) = (subcommands, settings)
    (self.environmentPrefix, self.isHidden, self.action) = (environmentPrefix, isHidden, action)
  }
}

extension Command {
  /// Runs what `arguments` (without the program's name) ask for, and tells how it ended.
  ///
  /// Failures are told on standard error. The caller exits with the result.
  package func run(
    _ arguments: [String],
    environment: [String: String],
    output: Output = .standard
  ) async -> ExitCode {
    do {
      try await descend(
        arguments[...],
        environment: environment,
        output: output,
        path: [name],
        inherited: []
      )
      return .success
    } catch let error as CommandError {
      if !error.message.isEmpty { output.complain(error.text(program: name)) }
      return error.code
    } catch is CancellationError {
      return .failure
    } catch {
      output.complain(CommandError("\(error)").text(program: name))
      return .failure
    }
  }

  /// Follows words to the command they name, then parses its flags and acts.
  private func descend(
    _ words: ArraySlice<String>,
    environment: [String: String],
    output: Output,
    path: [String],
    inherited: [any AnyFlag]
  ) async throws {
    let accepted = inherited + flags
    var leading: [String] = []
    var rest = words
    while !subcommands.isEmpty, let word = rest.first, word.hasPrefix("-"), word.count > 1 {
      if Self.isHelp(word) { return output.print(help(path: path), terminator: "") }
      rest.removeFirst()
      leading.append(word)
      let name = String(word.drop { $0 == "-" })
      let takesNext = accepted.contains { $0.name == name && !$0.isSwitch }
      if takesNext, let value = rest.popFirst() { leading.append(value) }
    }
    if let word = rest.first, !subcommands.isEmpty, action == nil || isSubcommand(word) {
      if word == "help" { return try printHelp(for: rest.dropFirst(), path: path, to: output) }
      guard let next = subcommands.first(where: { $0.name == word }) else {
        if let reason = refusals[word] {
          throw CommandError("\(path.dropFirst().joined(separator: " "))\(word): \(reason)")
        }
        throw CommandError(
          "unknown subcommand: \(maskingKeys((path.dropFirst() + [word]).joined(separator: " ")))",
          hint: "\(path.joined(separator: " ")) --help lists them."
        )
      }
      return try await next.descend(
        leading[...] + rest.dropFirst(),
        environment: environment,
        output: output,
        path: path + [word],
        inherited: accepted
      )
    }
    try await act(
      leading + rest,
      environment: environment,
      output: output,
      path: path,
      accepted: accepted
    )
  }

  private func act(
    _ words: [String],
    environment: [String: String],
    output: Output,
    path: [String],
    accepted: [any AnyFlag]
  ) async throws {
    if words.prefix(while: { $0 != "--" }).contains(where: Self.isHelp) {
      return output.print(help(path: path), terminator: "")
    }
    let parser = FlagParser(
      accepted,
      aliases: aliases,
      refusals: refusals,
      environmentPrefix: environmentPrefix
    )
    var arguments = try parser.parse(words, environment: environment)
    if let settings {
      let isGiven = arguments.isGiven(settings.flag)
      let file = try SettingsFile.read(
        isGiven ? arguments[settings.flag] : settings.defaultPath,
        isRequired: isGiven
      )
      arguments = try parser.parse(words, environment: environment, file: file)
    }
    guard let action else {
      let names = subcommands.filter { !$0.isHidden }.map(\.name).joined(separator: ", ")
      throw CommandError("missing subcommand: \(names)")
    }
    try await action(
      Invocation(arguments: arguments, output: output, environment: environment, path: path)
    )
  }

  private func isSubcommand(_ word: String) -> Bool {
    word == "help" || subcommands.contains { $0.name == word }
  }

  private func printHelp(
    for words: ArraySlice<String>,
    path: [String],
    to output: Output
  ) throws(CommandError) {
    var command = self
    var path = path
    for word in words {
      guard let next = command.subcommands.first(where: { $0.name == word }) else {
        throw CommandError("unknown subcommand: \(maskingKeys(word))")
      }
      command = next
      path.append(word)
    }
    output.print(command.help(path: path), terminator: "")
  }

  private static func isHelp(_ word: String) -> Bool {
    ["-h", "--h", "-help", "--help"].contains(word)
  }
}
