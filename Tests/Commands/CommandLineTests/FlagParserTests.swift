// SPDX-License-Identifier: Apache-2.0

import CommandLine
import Testing

private let name = Flag("name", default: "none", environment: "MARTLET_NAME", help: "a name")
private let json = Flag("json", help: "print JSON")
private let peers = Flag("peers", default: true, help: "show peers")
private let count = Flag("c", default: 10, help: "how often")
private let timeout = Flag("timeout", default: Duration.seconds(5), help: "how long")
private let tags = Flag("tags", default: [String](), help: "tags")
private let all: [any AnyFlag] = [name, json, peers, count, timeout, tags]

@Suite("Flags")
struct FlagParserTests {
  private let parser = FlagParser(
    all,
    aliases: ["nombre": "name"],
    refusals: ["ssh": "not served yet"]
  )

  private func message(_ arguments: [String], environment: [String: String] = [:]) -> String {
    do throws(CommandError) {
      _ = try parser.parse(arguments, environment: environment)
      return "accepted"
    } catch {
      return error.text(program: "martlet")
    }
  }

  @Test("One dash or two, value after the equals sign or next")
  func spellings() throws {
    for words in [["-c", "3"], ["--c", "3"], ["-c=3"], ["--c=3"]] {
      #expect(try parser.parse(words)[count] == 3)
    }
  }

  @Test("A switch takes a value after the equals sign only")
  func switches() throws {
    let parsed = try parser.parse(["--json", "host", "--peers=false"])
    #expect(parsed[json])
    #expect(!parsed[peers])
    #expect(parsed.rest == ["host"])
  }

  @Test("What was not given has its default and says so")
  func defaults() throws {
    let parsed = try parser.parse([])
    #expect(parsed[timeout] == .seconds(5))
    #expect(!parsed.isGiven(timeout))
    #expect(parsed.givenNames.isEmpty)
  }

  @Test("Lists are written with commas")
  func lists() throws {
    #expect(try parser.parse(["--tags=a, b,,c"])[tags] == ["a", "b", "c"])
    #expect(try parser.parse(["--tags="])[tags].isEmpty)
  }

  @Test("Two dashes end the flags, one dash is an argument")
  func ends() throws {
    #expect(try parser.parse(["-", "--", "--json"]).rest == ["-", "--json"])
  }

  @Test("Old names still work")
  func aliases() throws {
    #expect(try parser.parse(["--nombre=x"])[name] == "x")
  }

  @Test(
    "Mistakes are named",
    arguments: [
      (["--c=x"], "invalid value \"x\" for flag --c. It takes a whole number."),
      (["--json=maybe"], "invalid value \"maybe\" for flag --json. It takes true or false."),
      (["--c", "1", "-c=2"], "flag provided multiple times: --c"),
      (["--c"], "flag needs an argument: --c"),
      (["--wat"], "flag provided but not defined: --wat. --help lists the flags."),
      (["---c"], "bad flag syntax: ---c"), (["--=3"], "bad flag syntax: --=3"),
      (["--ssh"], "--ssh: not served yet"),
      (["--tskey-auth-abc123"], "flag provided but not defined: --tskey-XXXXXXXXXXX."),
    ] as [([String], String)]
  )
  func mistakes(words: [String], expected: String) {
    #expect(message(words).hasPrefix("martlet: " + expected))
  }

  @Test("A flag wins over the environment, and that over the file")
  func layers() throws {
    let file = try SettingsFile(
      Array(#"{"name": "file", "c": 4, "peers": false, "tags": ["x", "y"]}"#.utf8),
      path: "/etc/martlet/test.json"
    )
    let environment = ["MARTLET_NAME": "environment"]
    let low = try parser.parse([], file: file)
    #expect(low[name] == "file" && low[count] == 4 && !low[peers] && low[tags] == ["x", "y"])
    #expect(low.source(of: "name") == .file)
    let middle = try parser.parse([], environment: environment, file: file)
    #expect(middle[name] == "environment")
    let high = try parser.parse(["--name", "flag"], environment: environment, file: file)
    #expect(high[name] == "flag")
    #expect(high.source(of: "name") == .flag)
  }

  @Test("A bad variable is named")
  func badVariable() {
    let parser = FlagParser([Flag("c", default: 1, environment: "MARTLET_C", help: "")])
    #expect(
      throws: CommandError(
        "invalid value \"x\" in the environment variable MARTLET_C",
        hint: "It takes a whole number.",
        code: .usage
      )
    ) { try parser.parse([], environment: ["MARTLET_C": "x"]) }
  }

  @Test(
    "A file with a mistake is refused by name",
    arguments: [
      (#"{"nmae": 1}"#, "unknown key \"nmae\" in f"), (#"{"c": "x"}"#, "invalid value \"x\""),
      (#"{"c": {}}"#, "the value of \"c\" in f is neither"), ("[]", "f is not a JSON object"),
      ("{", "f is not JSON"), (#"{"c": null}"#, "the value of \"c\""),
    ]
  )
  func badFiles(content: String, expected: String) {
    do throws(CommandError) {
      _ = try parser.parse([], file: SettingsFile(Array(content.utf8), path: "f"))
      Issue.record("accepted")
    } catch {
      #expect(error.message.hasPrefix(expected))
      #expect(error.code == .configuration)
    }
  }

  @Test("A missing file is an error only when it was asked for")
  func missingFile() throws {
    #expect(try SettingsFile.read("/nonexistent/martlet.json", isRequired: false) == nil)
    #expect(throws: CommandError.self) {
      try SettingsFile.read("/nonexistent/martlet.json", isRequired: true)
    }
  }
}
