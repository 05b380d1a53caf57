// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLine
import Testing

private let style = FlagStyle(
  of: Tool.self,
  aliases: ["authkey": "auth-key"],
  refusals: ["ssh": "the SSH server is not served yet"]
)

private struct Tool: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tool",
    abstract: "A tool.",
    version: "1.2.3",
    subcommands: [Show.self, Fail.self]
  )

  struct Show: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Show things.")

    @Option(help: .yesNo("print JSON"))
    var json: Bool?
    @Option(help: .yesNo("include peers"))
    var peers: Bool?
    @Option(help: "the key")
    var authKey: String?
    @Option(help: "how long", transform: settingValue)
    var timeout: Duration?
    @Flag(name: .customShort("4"), help: "only IPv4")
    var onlyV4 = false
    @Option(name: .customShort("c"), parsing: .unconditional, help: "how often")
    var count: Int?
    @Argument(help: "what")
    var things: [String] = []

    func run() async throws {
      let facts = [
        "json \(json.map(String.init) ?? "?")", "peers \(peers ?? true)", "key \(authKey ?? "?")",
        "timeout \(timeout.map { DurationText.format($0) } ?? "?")", "4 \(onlyV4)",
        "c \(count.map(String.init) ?? "?")", things.joined(separator: ","),
        environment["HOME"] ?? "",
      ]
      output.print(facts.joined(separator: "; "))
    }
  }

  struct Fail: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Fail.")

    func run() throws { throw CommandError("it broke", hint: "Mend it.", code: .permission) }
  }
}

@Suite("Programs")
struct ProgramTests {
  private func run(_ words: String...) async -> (code: Int32, output: String, errors: String) {
    let recorder = OutputRecorder()
    let code = await Program.run(
      Tool.self,
      words,
      style: style,
      in: Surroundings(output: recorder.output, environment: ["HOME": "/root"])
    )
    return (code.rawValue, recorder.standardOutput, recorder.standardError)
  }

  @Test("Flags come in every way that Go programs take")
  func styles() async {
    let expected = "json true; peers false; key -k; timeout 5s; 4 true; c -1; a,b; /root\n"
    for words in [
      ["--json", "--peers=false", "--auth-key=-k", "--timeout=5s", "-4", "-c=-1", "a", "b"],
      ["-json", "a", "-peers=0", "--auth-key", "-k", "-timeout", "5s", "b", "--4", "-c", "-1"],
      ["-json=T", "-peers=F", "-authkey", "-k", "--timeout", "5s", "-4=true", "--c=-1", "--", "a"]
        + ["b"],
    ] {
      let recorder = OutputRecorder()
      let code = await Program.run(
        Tool.self,
        ["show"] + words,
        style: style,
        in: Surroundings(output: recorder.output, environment: ["HOME": "/root"])
      )
      #expect(recorder.standardError == "")
      #expect(recorder.standardOutput == expected)
      #expect(code == .success)
    }
  }

  @Test("What was not given is known not to be given")
  func absent() async {
    let told = await run("show")
    #expect(told.output == "json ?; peers true; key ?; timeout ?; 4 false; c ?; ; /root\n")
  }

  @Test("An empty value is a value", arguments: [["--auth-key="], ["-auth-key", ""]])
  func empty(words: [String]) async {
    let recorder = OutputRecorder()
    let code = await Program.run(
      Tool.self,
      ["show"] + words + ["--json"],
      style: style,
      in: Surroundings(output: recorder.output, environment: [:])
    )
    #expect(code == .success)
    #expect(recorder.standardOutput.contains("json true; peers true; key ; "))
  }

  @Test("A switch takes no value from the next word")
  func switches() async {
    let told = await run("show", "--json", "false")
    #expect(told.output.hasPrefix("json true;"))
    #expect(told.output.contains("; false; "))
  }

  @Test(
    "What is not understood ends with 2 and says what",
    arguments: [
      (["show", "--jsn"], "Unknown option '--jsn'"),
      (
        ["show", "--json=maybe"], "invalid value \"maybe\" for flag --json. It takes true or false."
      ),
      (["show", "--json", "-json"], "flag provided multiple times: --json"),
      (["show", "---json"], "bad flag syntax: ---json"),
      (["show", "--=x"], "bad flag syntax: --=x"),
      (["show", "--ssh"], "--ssh: the SSH server is not served yet"),
      (["show", "--timeout"], "Missing value for '--timeout"),
      (["show", "--timeout", "soon"], "it takes a duration such as 30s, 5m or 90d"),
      (["shwo"], "Unexpected argument 'shwo'"),
      (["fail", "tskey-auth-abc"], "Unexpected argument 'tskey-XXXXXXXX'"),
    ]
  )
  func misuse(words: [String], reason: String) async {
    let recorder = OutputRecorder()
    let code = await Program.run(
      Tool.self,
      words,
      style: style,
      in: Surroundings(output: recorder.output, environment: [:])
    )
    #expect(code == .usage)
    #expect(recorder.standardError.contains(reason), "\(recorder.standardError)")
    #expect(recorder.standardOutput == "")
  }

  @Test("A failure is told with what to do, and its code")
  func failure() async {
    let told = await run("fail")
    #expect(told.code == 4)
    #expect(told.errors == "tool: it broke. Mend it.\n")
  }

  @Test("Help and version are no failures", arguments: ["--help", "-h", "-help"])
  func help(word: String) async {
    let told = await run(word)
    #expect(told.code == 0)
    #expect(told.output.contains("show"))
    #expect(told.errors == "")
    let show = await run("show", word)
    #expect(show.output.contains("--peers"))
    #expect(show.output.contains("include peers"))
    #expect(await run("--version").output == "1.2.3\n")
    #expect(await run("-V").output == "1.2.3\n")
  }
}
