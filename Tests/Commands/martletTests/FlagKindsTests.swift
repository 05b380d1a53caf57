// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import JSON
import Testing

@testable import CommandLine
@testable import martlet

@Suite("Flags of the command line")
struct FlagKindsTests {
  @Test("What help tells of flags is what ArgumentParser tells of them, for every command")
  func kinds() throws {
    let tree = try JSONValue(parsing: Martlet._dumpHelp())
    var (flags, switches): (Set<String>, Set<String>) = ([], [])
    var waiting = [try #require(tree["command"])]
    while let command = waiting.popLast() {
      for argument in command["arguments"]?.array ?? [] {
        let names = (argument["names"]?.array ?? []).compactMap { $0["name"]?.string }
        if argument["kind"]?.string == "flag" {
          flags.formUnion(names)
        } else if argument["valueName"]?.string == FlagStyle.switchValueName {
          switches.formUnion(names)
        }
      }
      waiting += command["subcommands"]?.array ?? []
    }
    let style = FlagStyle(of: Martlet.self)
    #expect(style.flags == flags)
    #expect(style.switches == switches)
  }
}
