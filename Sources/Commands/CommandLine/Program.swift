// SPDX-License-Identifier: Apache-2.0

package import ArgumentParser

/// What surrounds a command: where it writes, and the variables it sees.
package struct Surroundings: Sendable {
  /// Those of the command that runs in this task.
  @TaskLocal package static var current = Surroundings()

  /// Where it writes.
  package var output = Output.standard
  /// The variables it sees.
  package var environment = ProcessFacts.environment

  /// Those of this process.
  package init() {}

  /// Those of a test.
  package init(output: Output, environment: [String: String]) {
    (self.output, self.environment) = (output, environment)
  }
}

extension ParsableCommand {
  /// Where the command writes.
  package var output: Output { Surroundings.current.output }
  /// The variables that the command sees.
  package var environment: [String: String] { Surroundings.current.environment }
}

/// Runs programs whose commands ArgumentParser knows.
package enum Program {
  /// Runs what the process was asked for, and ends the process.
  package static func main<Root: ParsableCommand>(
    _ root: Root.Type,
    style: FlagStyle? = nil
  ) async -> Never {
    Termination.ignoreBrokenPipes()
    ProcessFacts.forbidCoreFiles()
    ProcessFacts.exit(await run(root, ProcessFacts.arguments, style: style))
  }

  /// Runs what `arguments` (without the program's name) ask for, and tells how it ended.
  ///
  /// Failures are told on standard error.
  package static func run<Root: ParsableCommand>(
    _ root: Root.Type,
    _ arguments: [String],
    style: FlagStyle? = nil,
    in surroundings: Surroundings = Surroundings()
  ) async -> ExitCode {
    await Surroundings.$current.withValue(surroundings) {
      do {
        let normal = try (style ?? FlagStyle(of: root)).normalize(arguments)
        var command = try root.parseAsRoot(normal)
        if var waiting = command as? any AsyncParsableCommand {
          try await waiting.run()
        } else {
          try command.run()
        }
        return .success
      } catch {
        return explain(error, of: root, to: surroundings.output)
      }
    }
  }

  private static func explain<Root: ParsableCommand>(
    _ error: any Error,
    of root: Root.Type,
    to output: Output
  ) -> ExitCode {
    let name = root._commandName
    if let error = error as? CommandError {
      if !error.message.isEmpty { output.complain(error.text(program: name)) }
      return error.code
    }
    if error is CancellationError { return .failure }
    switch root.exitCode(for: error) {
    case .success:
      output.print(root.fullMessage(for: error))
      return .success
    case .validationFailure:
      output.complain(maskingKeys(root.fullMessage(for: error)))
      return .usage
    default:
      output.complain(CommandError(maskingKeys("\(error)")).text(program: name))
      return .failure
    }
  }
}

extension ArgumentHelp {
  /// The help of a switch: an `@Option` that holds a `Bool?`; alone it means yes.
  ///
  /// It is no `@Flag`, which could not be turned off by `=false`, and no option with `defaultAsFlag`,
  /// which forgets the value after `=` when another option follows (ArgumentParser 1.8.2).
  package static func yesNo(_ text: String) -> ArgumentHelp {
    ArgumentHelp(text, valueName: FlagStyle.switchValueName)
  }
}
