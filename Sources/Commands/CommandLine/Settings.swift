// SPDX-License-Identifier: Apache-2.0

/// The settings of a daemon: flag, over `MARTLET_*` variable, over configuration file, over default.
///
/// The program reads each of its settings once, whether it uses it or not, and then says `finish`,
/// which refuses keys of the file that nobody read:
///
///     var settings = try Settings(prefix: "MARTLET_DERP", environment: environment,
///       file: config, defaultFile: "/etc/martlet/derp.json")
///     let port = try settings.value("stun-port", stunPort, default: 3478)
///     try settings.finish()
package struct Settings: Sendable {
  /// Where a value came from.
  private enum Source {
    case flag
    case variable(String)
    case file(path: String)
    case nowhere
  }

  private let prefix: String
  private let environment: [String: String]
  private let file: SettingsFile?
  private var sources: [String: Source] = [:]

  /// Settings from variables that start with `prefix` and an underscore, and from a file.
  package init(prefix: String, environment: [String: String], file: SettingsFile? = nil) {
    (self.prefix, self.environment, self.file) = (prefix + "_", environment, file)
  }

  /// Settings from variables that start with `prefix` and an underscore, and from a file.
  ///
  /// The file is the one that `--config` names (`path`), or else the variable for it, or else the
  /// one at `defaultPath`, which may be missing.
  package init(
    prefix: String,
    environment: [String: String],
    file path: String?,
    defaultFile defaultPath: String
  ) throws(CommandError) {
    let named = path ?? environment[prefix + "_CONFIG"].flatMap { $0.isEmpty ? nil : $0 }
    let file = try SettingsFile.read(named ?? defaultPath, isRequired: named != nil)
    self.init(prefix: prefix, environment: environment, file: file)
  }

  /// The setting `name`; `given` is what its flag was given.
  ///
  /// - Throws: `CommandError` that names the variable or the key of the file at fault.
  package mutating func value<Value: SettingValue>(
    _ name: String,
    _ given: Value?
  ) throws(CommandError) -> Value? {
    if let given {
      sources[name] = .flag
      return given
    }
    return try text(name).map { text throws(CommandError) in
      try read(name, text, expecting: Value.expectation, Value.init(settingText:))
    }
  }

  /// The setting `name`, or else `defaultValue`; `given` is what its flag was given.
  ///
  /// - Throws: `CommandError` that names the variable or the key of the file at fault.
  package mutating func value<Value: SettingValue>(
    _ name: String,
    _ given: Value?,
    default defaultValue: Value
  ) throws(CommandError) -> Value {
    try value(name, given) ?? defaultValue
  }

  /// The setting `name` as `parse` understands it; `given` is the text that its flag was given.
  ///
  /// - Throws: `CommandError` that names the flag, the variable or the key of the file at fault, and
  ///   says what was expected: `an absolute path`.
  package mutating func value<Value>(
    _ name: String,
    _ given: String?,
    expecting expectation: String,
    _ parse: (String) -> Value?
  ) throws(CommandError) -> Value? {
    if given != nil { sources[name] = .flag }
    guard let text = given ?? text(name) else { return nil }
    return try read(name, text, expecting: expectation, parse)
  }

  /// The lists of a file's object that has names of its own, such as domains, in order.
  package mutating func lists(
    below name: String
  ) throws(CommandError) -> [(name: String, values: [String])] {
    guard let file else { return [] }
    var found: [(name: String, values: [String])] = []
    for (key, text) in file.values.sorted(by: { $0.key < $1.key }) where key.hasPrefix(name + "-") {
      sources[key] = .file(path: file.path)
      found.append((String(key.dropFirst(name.count + 1)), [String](settingText: text) ?? []))
    }
    return found
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

  private func isFromFlag(_ name: String) -> Bool {
    if case .flag? = sources[name] { true } else { false }
  }

  /// The text of the setting `name` in the environment, or else in the file.
  private mutating func text(_ name: String) -> String? {
    let variable = variable(name)
    if let text = environment[variable], !text.isEmpty {
      sources[name] = .variable(variable)
      return text
    }
    if let file, let text = file.values[name] {
      sources[name] = .file(path: file.path)
      return text
    }
    sources[name] = .nowhere
    return nil
  }

  private func read<Value>(
    _ name: String,
    _ text: String,
    expecting expectation: String,
    _ parse: (String) -> Value?
  ) throws(CommandError) -> Value {
    guard let value = parse(text) else {
      throw CommandError(
        "\(title(of: name)) cannot be \"\(maskingKeys(text))\"",
        hint: "It takes \(expectation).",
        code: isFromFlag(name) ? .usage : .configuration
      )
    }
    return value
  }

  /// `MARTLET_DERP_STUN_PORT` for `stun-port`.
  private func variable(_ name: String) -> String {
    prefix + String(name.uppercased().map { $0 == "-" ? "_" : $0 })
  }
}
