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

/// A program: a tree of commands, and the style in which it is called.
package struct Program<Root: ParsableCommand>: Sendable {
  private let style: FlagStyle

  /// The program whose commands hang below `Root`.
  package init(_ root: Root.Type, style: FlagStyle) { self.style = style }

  /// Runs what the process was asked for, and ends the process.
  package func main() async -> Never {
    Termination.ignoreBrokenPipes()
    ProcessFacts.exit(await run(ProcessFacts.arguments))
  }

  /// Runs what `arguments` (without the program's name) ask for, and tells how it ended.
  ///
  /// Failures are told on standard error.
  package func run(
    _ arguments: [String],
    in surroundings: Surroundings = Surroundings()
  ) async -> ExitCode {
    await Surroundings.$current.withValue(surroundings) {
      do {
        var command = try Root.parseAsRoot(try style.normalize(arguments))
        if var waiting = command as? any AsyncParsableCommand {
          try await waiting.run()
        } else {
          try command.run()
        }
        return .success
      } catch {
        return explain(error, to: surroundings.output)
      }
    }
  }

  private func explain(_ error: any Error, to output: Output) -> ExitCode {
    if let error = error as? CommandError {
      if !error.message.isEmpty { output.complain(error.text(program: Root._commandName)) }
      return error.code
    }
    if error is CancellationError { return .failure }
    let text = Root.fullMessage(for: error)
    switch Root.exitCode(for: error) {
    case .success:
      output.print(text)
      return .success
    case .validationFailure:
      output.complain(maskingKeys(text))
      return .usage
    default:
      output.complain(CommandError(maskingKeys("\(error)")).text(program: Root._commandName))
      return .failure
    }
  }
}

extension ArgumentHelp {
  /// The help of a switch: an `@Option` that holds a `Bool?` and is named in the style's `switches`.
  ///
  /// It is no `@Flag`, which could not be turned off by `=false`, and no option with `defaultAsFlag`,
  /// which forgets the value after `=` when another option follows (ArgumentParser 1.8.2).
  package static func yesNo(_ text: String) -> ArgumentHelp {
    ArgumentHelp(text, valueName: "true|false")
  }
}
