// SPDX-License-Identifier: Apache-2.0

/// The settings of a daemon: flag, over `MARTLET_*` variable, over configuration file, over default.
///
/// The program reads each of its settings once, whether it uses it or not, and then says `finish`,
/// which refuses keys of the file that nobody read:
///
///     var settings = try Settings(config: config, default: "/etc/martlet/derp.json",
///       environment: environment, prefix: "MARTLET_DERP_")
///     let port = try settings.value(stunPort, "stun-port", default: 3478)
///     try settings.finish()
package struct Settings: Sendable {
  /// Where a value came from.
  private enum Source {
    case flag
    case variable(String)
    case file(path: String)
    case nowhere
  }

  private let environment: [String: String]
  private let prefix: String
  private let file: SettingsFile?
  private var sources: [String: Source] = [:]

  /// Settings from variables that start with `prefix`, and from a file that was read.
  package init(environment: [String: String], prefix: String, file: SettingsFile? = nil) {
    (self.environment, self.prefix, self.file) = (environment, prefix, file)
  }

  /// Settings from variables that start with `prefix`, and from a file.
  ///
  /// The file is the one that `--config` names (`config`), or else the variable for it, or else the
  /// one at `defaultPath`, which may be missing.
  package init(
    config: String?,
    default defaultPath: String,
    environment: [String: String],
    prefix: String
  ) throws(CommandError) {
    let named = config ?? environment[prefix + "CONFIG"].flatMap { $0.isEmpty ? nil : $0 }
    let file = try SettingsFile.read(named ?? defaultPath, isRequired: named != nil)
    self.init(environment: environment, prefix: prefix, file: file)
  }

  /// The setting `name`; `given` is what its flag was given.
  ///
  /// - Throws: `CommandError` that names the variable or the key of the file at fault.
  package mutating func value<Value: SettingValue>(
    _ given: Value?,
    _ name: String
  ) throws(CommandError) -> Value? {
    if let given {
      sources[name] = .flag
      return given
    }
    let variable = variable(name)
    if let text = environment[variable], !text.isEmpty {
      sources[name] = .variable(variable)
      return try read(text, name)
    }
    if let file, let text = file.values[name] {
      sources[name] = .file(path: file.path)
      return try read(text, name)
    }
    sources[name] = .nowhere
    return nil
  }

  /// The setting `name`, or else `defaultValue`; `given` is what its flag was given.
  ///
  /// - Throws: `CommandError` that names the variable or the key of the file at fault.
  package mutating func value<Value: SettingValue>(
    _ given: Value?,
    _ name: String,
    default defaultValue: Value
  ) throws(CommandError) -> Value {
    try value(given, name) ?? defaultValue
  }

  /// Says that everything was read.
  ///
  /// - Throws: `CommandError` that names a key of the file that is no setting.
  package func finish() throws(CommandError) {
    guard let file else { return }
    for name in file.values.keys.sorted() where sources[name] == nil {
      throw CommandError(
        "unknown key \"\(maskingKeys(name))\" in \(file.path)",
        hint: "Known keys: \(sources.keys.sorted().joined(separator: ", ")).",
        code: .configuration
      )
    }
  }

  /// That the value of the setting `name` cannot be; `what` goes on after its name.
  ///
  /// The name is that of the flag, of the variable, or of the key and its file: wherever the value
  /// came from.
  package func wrong(_ name: String, _ what: String, hint: String = "") -> CommandError {
    CommandError("\(title(of: name)) \(what)", hint: hint, code: .configuration)
  }

  /// The setting `name` as the person calls it who gave it.
  package func title(of name: String) -> String {
    switch sources[name] {
    case .variable(let variable)?: variable
    case .file(let path)?: "\"\(name)\" in \(path)"
    case .flag?, .nowhere?, nil: "--\(name)"
    }
  }

  private func read<Value: SettingValue>(
    _ text: String,
    _ name: String
  ) throws(CommandError) -> Value {
    guard let value = Value(settingText: text) else {
      throw wrong(
        name,
        "cannot be \"\(maskingKeys(text))\"",
        hint: "It takes \(Value.expectation)."
      )
    }
    return value
  }

  /// `MARTLET_DERP_STUN_PORT` for `stun-port`.
  private func variable(_ name: String) -> String {
    prefix + String(name.uppercased().map { $0 == "-" ? "_" : $0 })
  }
}
