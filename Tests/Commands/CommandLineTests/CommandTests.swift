// SPDX-License-Identifier: Apache-2.0

import CommandLine
import Testing

private let socket = Flag("socket", default: "/run/x", help: "where the daemon listens")
private let json = Flag("json", help: "print JSON")

private func tool() -> Command {
  let show = Command(
    "show",
    summary: "Show things",
    usage: "[flags] <thing>",
    flags: [json]
  ) { call in
    call.output.print(
      "\(call.path.joined(separator: " ")) \(call.arguments[socket]) \(call.arguments[json]) "
        + call.arguments.rest.joined(separator: ",")
    )
  }
  let fail = Command("fail", summary: "Fail") { _ in
    throw CommandError("it broke", hint: "Mend it.")
  }
  let group = Command("group", summary: "A group", subcommands: [show])
  return Command(
    "tool",
    summary: "A tool",
    usage: "[flags] <subcommand>",
    flags: [socket],
    subcommands: [show, fail, group]
  )
}

@Suite("Commands")
struct CommandTests {
  private func run(_ words: String...) async -> (ExitCode, String, String) {
    let recorder = OutputRecorder()
    let code = await tool().run(words, environment: [:], output: recorder.output)
    return (code, recorder.standardOutput, recorder.standardError)
  }

  @Test("Flags of the commands above may stand anywhere")
  func inherited() async {
    #expect(await run("--socket", "/a", "show", "x") == (.success, "tool show /a false x\n", ""))
    #expect(await run("show", "--socket=/a", "x") == (.success, "tool show /a false x\n", ""))
    #expect(
      await run("group", "show", "--json", "x") == (.success, "tool group show /run/x true x\n", "")
    )
  }

  @Test("An unknown subcommand is named")
  func unknown() async {
    let (code, _, errors) = await run("frob")
    #expect(code == .failure)
    #expect(errors == "tool: unknown subcommand: frob. tool --help lists them.\n")
  }

  @Test("A group alone asks for a subcommand")
  func group() async {
    #expect(await run("group") == (.failure, "", "tool: missing subcommand: show\n"))
  }

  @Test("A failure tells what happened and what to do")
  func failure() async {
    #expect(await run("fail") == (.failure, "", "tool: it broke. Mend it.\n"))
  }

  @Test("A bad flag ends with the usage code")
  func badFlag() async {
    #expect(await run("show", "--wat").0 == .usage)
  }

  @Test("Help lists what works", arguments: [["--help"], ["help"], ["-h"]])
  func help(words: [String]) async {
    let recorder = OutputRecorder()
    #expect(await tool().run(words, environment: [:], output: recorder.output) == .success)
    #expect(
      recorder.standardOutput == """
        A tool

        USAGE
          tool [flags] <subcommand>

        SUBCOMMANDS
          show   Show things
          fail   Fail
          group  A group

        FLAGS
          --socket string
            \twhere the daemon listens (default /run/x)

        """
    )
  }

  @Test("Help of a subcommand is reached both ways")
  func subcommandHelp() async {
    let (_, one, _) = await run("group", "show", "--help")
    let (_, other, _) = await run("help", "group", "show")
    #expect(one == other)
    #expect(one.hasPrefix("Show things\n\nUSAGE\n  tool group show [flags] <thing>\n"))
  }
}

func == (
  left: (ExitCode, String, String),
  right: (ExitCode, String, String)
) -> Bool {
  left.0 == right.0 && left.1 == right.1 && left.2 == right.2
}
