// SPDX-License-Identifier: Apache-2.0

import CommandLine
import Glibc
import Logging
import Testing

@Suite("What is printed")
struct TextTests {
  @Test("Columns line up two spaces apart, without trailing spaces")
  func table() {
    var table = Table()
    table.add("ID", "Name", "")
    table.add("1", "grün", "x")
    table.add("1000", "b")
    #expect(table.text == "ID    Name\n1     grün  x\n1000  b\n")
  }

  @Test("Keys never reach the terminal")
  func keys() {
    #expect(maskingKeys("bad tskey-auth-k1_2-3, no") == "bad tskey-XXXXXXXXXXX, no")
    #expect(maskingKeys("--auth-key=martlet-auth-ab1") == "--auth-key=martlet-auth-XXX")
    #expect(maskingKeys("turkey-farm") == "turkey-farm")
  }

  @Test("What others wrote cannot move the cursor, fake a row or turn text around")
  func control() {
    #expect(printable("a\u{1b}[2J\nb\u{9b}c\u{202e}d\u{7f}") == "a?[2J?b?c?d?")
    #expect(printable("grün 東京 👩‍👧") == "grün 東京 👩‍👧")
    var table = Table()
    table.add("a\n1.2.3.4", "b\tc")
    #expect(table.text == "a?1.2.3.4  b?c\n")
    let recorder = OutputRecorder()
    recorder.output.print("x\u{1b}]0;t\u{7}\ty\nz")
    recorder.output.complain("\u{1b}c")
    #expect(recorder.standardOutput == "x?]0;t?\ty\nz\n")
    #expect(recorder.standardError == "?c\n")
  }

  @Test("A message gets its period only when a hint follows")
  func errors() {
    #expect(CommandError("a").text(program: "p") == "p: a")
    #expect(CommandError("a", hint: "B.").text(program: "p") == "p: a. B.")
    #expect(CommandError("a?", hint: "B.").text(program: "p") == "p: a? B.")
  }

  @Test("Log lines carry level, part, fixed phrase and facts")
  func logLines() {
    let recorder = OutputRecorder()
    var logger = Logger(label: "NodeBackend") { label in
      StandardErrorLog(label: label, level: .info, forJournal: false, output: recorder.output)
    }
    logger[metadataKey: "peer"] = "7"
    logger.info("state changed", metadata: ["state": "Running\nfake"])
    logger.debug("unseen")
    #expect(
      recorder.standardError
        == "info     NodeBackend: state changed  peer=7  state=Running fake\n"
    )
  }

  @Test("Under the journal a line starts with its priority")
  func journalLines() {
    let recorder = OutputRecorder()
    let logger = Logger(label: "X") { label in
      StandardErrorLog(label: label, level: .trace, forJournal: true, output: recorder.output)
    }
    logger.warning("careful")
    logger.trace("detail")
    #expect(recorder.standardError == "<4>X: careful\n<7>X: detail\n")
  }

  @Test("A file is read whole; a missing one is nil; a directory is an error")
  func files() throws {
    #expect(try SmallFile.read("/nonexistent") == nil)
    #expect(throws: CommandError.self) { try SmallFile.read("/") }
    #expect(try SmallFile.read("/proc/self/comm")?.isEmpty == false)
    #expect(throws: CommandError.self) { try SmallFile.read("/dev/zero") }
  }

  @Test("A program leaves no core file, in which its keys would stand")
  func coreFiles() {
    ProcessFacts.forbidCoreFiles()
    var limit = rlimit(rlim_cur: 1, rlim_max: 1)
    // SAFETY: the call fills the structure that it is lent.
    let status = unsafe getrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &limit)
    #expect(status == 0)
    #expect(limit.rlim_cur == 0)
    #expect(limit.rlim_max == 0)
  }

  @Test("The environment of the process is read")
  func environment() {
    unsafe setenv("MARTLET_TEST_VARIABLE", "a=b", 1)
    #expect(ProcessFacts.environment["MARTLET_TEST_VARIABLE"] == "a=b")
  }
}
