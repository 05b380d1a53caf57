// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLine
import JSON
import LocalAPI

/// `martlet set`: changes the settings that are mentioned, and no others.
struct SetCommand: DaemonCommand {
  static let configuration = CommandConfiguration(
    commandName: "set",
    abstract: "Change single settings."
  )

  @OptionGroup var daemon: DaemonOptions
  @OptionGroup var settings: SettingFlags
  @OptionGroup var more: MoreSettingFlags

  func run() async throws {
    let given = GivenSettings(common: settings, more: more)
    let mentioned = given.names(among: Setting.ofSet)
    guard !mentioned.isEmpty else { throw CleanExit.helpRequest(self) }
    let client = client
    var wanted = try await client.preferences()
    try given.put(Setting.ofSet, into: &wanted)
    wanted.config = nil
    try await client.check(wanted)
    try await client.edit(MaskedPreferences(mentioned.flatMap(\.keys), of: wanted))
  }
}

/// `martlet get`: shows settings.
struct GetCommand: DaemonCommand {
  static let configuration = CommandConfiguration(
    commandName: "get",
    abstract: "Show settings."
  )

  @OptionGroup var daemon: DaemonOptions
  @Option(help: .yesNo("Print JSON."))
  var json: Bool?
  @Option(help: .yesNo("Print the flags that 'martlet up' takes."))
  var setFlags: Bool?
  @Argument(help: ArgumentHelp("The setting; all of them without it.", valueName: "name"))
  var name: String?

  func run() async throws {
    let preferences = try await client.preferences()
    let wanted = name.flatMap { $0 == "all" ? nil : $0 }
    let chosen = Setting.all.filter { wanted.map { [$0] }?.contains($0.name) ?? $0.isServed }
    guard !chosen.isEmpty else {
      throw CommandError(
        "unknown setting \"\(maskingKeys(wanted ?? ""))\"",
        hint: "'martlet get' lists them."
      )
    }
    output.print(
      SettingsText.text(
        chosen,
        of: preferences,
        asJSON: json ?? false,
        asFlags: setFlags ?? false,
        isSingle: wanted != nil
      ),
      terminator: ""
    )
  }
}

/// How settings are shown.
enum SettingsText {
  static func text(
    _ settings: [Setting],
    of preferences: Preferences,
    asJSON: Bool,
    asFlags: Bool,
    isSingle: Bool
  ) -> String {
    if asFlags {
      return settings.map { $0.flag($0.text(preferences)) }.joined(separator: " ") + "\n"
    }
    if asJSON {
      let members = settings.reduce(into: JSONObject()) { object, setting in
        let text = setting.text(preferences)
        object[setting.name] = setting.isSwitch ? .bool(text == "true") : .string(text)
      }
      return JSONValue.object(members).text(indentation: "  ") + "\n"
    }
    if isSingle, let setting = settings.first { return setting.text(preferences) + "\n" }
    var table = Table()
    table.add("NAME", "VALUE")
    for setting in settings { table.add(setting.name, setting.text(preferences)) }
    return table.text
  }
}
