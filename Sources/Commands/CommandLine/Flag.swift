// SPDX-License-Identifier: Apache-2.0

/// One flag of a command: its name, what it holds, and what help says about it.
package struct Flag<Value: FlagValue>: Sendable {
  /// The name, without dashes.
  package let name: String
  /// What it holds when nobody gave it.
  package let defaultValue: Value
  /// What help says.
  package let help: String
  /// The environment variable that stands in for it, if any.
  package let environment: String?
  /// Whether help leaves it out.
  package let isHidden: Bool

  /// A flag; `environment` names the variable that stands in for it.
  package init(
    _ name: String,
    default defaultValue: Value,
    environment: String? = nil,
    isHidden: Bool = false,
    help: String
  ) {
    (self.name, self.defaultValue, self.help) = (name, defaultValue, help)
    (self.environment, self.isHidden) = (environment, isHidden)
  }
}

extension Flag where Value == Bool {
  /// A switch that is off by default.
  package init(
    _ name: String,
    environment: String? = nil,
    isHidden: Bool = false,
    help: String
  ) {
    self.init(name, default: false, environment: environment, isHidden: isHidden, help: help)
  }
}

/// A flag without its type: what parsing and help need to know.
package protocol AnyFlag: Sendable {
  /// The name, without dashes.
  var name: String { get }
  /// What help says.
  var help: String { get }
  /// The environment variable that stands in for it, if any.
  var environment: String? { get }
  /// Whether help leaves it out.
  var isHidden: Bool { get }
  /// Whether the flag alone means "yes".
  var isSwitch: Bool { get }
  /// What stands for the value in help.
  var placeholder: String { get }
  /// The default as text.
  var defaultText: String { get }
  /// Whether `text` spells a value.
  func accepts(_ text: String) -> Bool
}

extension AnyFlag {
  /// The name as the end of an environment variable: `STATE_DIR` for `state-dir`.
  package var variableSuffix: String {
    String(name.uppercased().map { $0 == "-" ? "_" : $0 })
  }
}

extension Flag: AnyFlag {
  package var isSwitch: Bool { Value.isSwitch }
  package var placeholder: String { Value.placeholder }
  package var defaultText: String { defaultValue.flagText }
  package func accepts(_ text: String) -> Bool { Value(flagText: text) != nil }
}

/// The values of a command's flags, from where they were given, and the arguments that were none.
package struct Arguments: Sendable {
  /// Where a value came from; the later one wins.
  package enum Source: Hashable, Sendable {
    /// The configuration file.
    case file
    /// An environment variable.
    case environment
    /// The command line.
    case flag
  }

  /// The arguments that are no flags, in order.
  package let rest: [String]
  private let values: [String: (text: String, source: Source)]

  init(values: [String: (text: String, source: Source)], rest: [String]) {
    (self.values, self.rest) = (values, rest)
  }

  /// The value of `flag`.
  package subscript<Value>(flag: Flag<Value>) -> Value {
    guard let given = values[flag.name] else { return flag.defaultValue }
    guard let value = Value(flagText: given.text) else {
      preconditionFailure("parsing admitted a value that --\(flag.name) does not hold")
    }
    return value
  }

  /// Where the value of the flag named `name` came from; nil when it is the default.
  package func source(of name: String) -> Source? { values[name]?.source }

  /// Whether `flag` was given, wherever.
  package func isGiven(_ flag: some AnyFlag) -> Bool { values[flag.name] != nil }

  /// The names of the flags that were given, wherever.
  package var givenNames: Set<String> { Set(values.keys) }
}
