// SPDX-License-Identifier: Apache-2.0

extension Command {
  /// The help of this command, reached by `path`.
  package func help(path: [String]) -> String {
    var text = summary + "\n\nUSAGE\n  " + path.joined(separator: " ") + " " + usage + "\n"
    if !discussion.isEmpty { text += "\n" + discussion + "\n" }
    let listed = subcommands.filter { !$0.isHidden }
    if !listed.isEmpty {
      var table = Table()
      for command in listed { table.add("  " + command.name, command.summary) }
      text += "\nSUBCOMMANDS\n" + table.text
    }
    let shown = flags.filter { !$0.isHidden }
    if !shown.isEmpty {
      text += "\nFLAGS\n" + shown.map(help).joined()
    }
    return text
  }

  /// `  --name type`, and below it what it is for and what holds when it is not given.
  private func help(_ flag: any AnyFlag) -> String {
    let name =
      flag.isSwitch ? "--\(flag.name), --\(flag.name)=false" : "--\(flag.name) \(flag.placeholder)"
    var notes: [String] = []
    if !flag.defaultText.isEmpty, !["false", "0", "0s"].contains(flag.defaultText) {
      notes.append("default \(flag.defaultText)")
    }
    if let variable = flag.environment ?? environmentPrefix.map({ $0 + flag.variableSuffix }) {
      notes.append("or \(variable)")
    }
    let note = notes.isEmpty ? "" : " (" + notes.joined(separator: "; ") + ")"
    return "  " + name + "\n    \t" + flag.help + note + "\n"
  }
}
