// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLine
import Foundation
import JSON

extension PolicyCommand {
  /// `martlet-control policy edit`: the policy in an editor, until it is right or given up.
  struct Edit: AdminCommand {
    static let configuration = CommandConfiguration(
      abstract: "Change the policy in an editor ($VISUAL, $EDITOR or vi)."
    )

    @OptionGroup var shared: SharedFlags

    func run() async throws {
      let current = try await current()
      let file = try Self.draft(of: current.text)
      do {
        try Self.edit(file, with: environment)
        let text = try PolicyText.read(file.path)
        guard text != current.text else {
          try? FileManager.default.removeItem(at: file)  // An unchanged copy is of no use.
          return output.print("Nothing was changed.")
        }
        let answer = try await server.call(
          "PUT",
          "policy",
          ["policy": .string(text), "expected": .string(current.id)]
        )
        try? FileManager.default.removeItem(at: file)  // What is in force is stored.
        show(answer) { "Policy \(answer.cell("id")) is in force.\n" }
      } catch let error as CommandError {
        throw CommandError(
          error.message,
          hint: "Your text is kept in \(file.path); 'policy set' takes it when it is right.",
          code: error.code
        )
      }
    }

    private func current() async throws -> (text: String, id: String) {
      let history = try await server.call("GET", "policy/history?limit=1")["policies"]
      guard let id = history?[0]?["id"]?.string else { return (Self.example, "0") }
      return (try await server.call("GET", "policy").cell("policy"), id)
    }

    /// A file that only we may read, with the text in it.
    private static func draft(of text: String) throws(CommandError) -> URL {
      let file = FileManager.default.temporaryDirectory
        .appendingPathComponent("martlet-policy-\(UUID().uuidString).hujson")
      let isMade = FileManager.default.createFile(
        atPath: file.path,
        contents: Data(text.utf8),
        attributes: [.posixPermissions: 0o600]
      )
      guard isMade else { throw CommandError("cannot write \(file.path)") }
      return file
    }

    private static func edit(
      _ file: URL,
      with environment: [String: String]
    ) throws(CommandError) {
      let editor = ["VISUAL", "EDITOR"].lazy.compactMap { environment[$0] }.first { !$0.isEmpty }
      let process = Process()
      process.executableURL = URL(fileURLWithPath: "/bin/sh")
      // The editor may come with flags; the file is never read as a part of the command.
      process.arguments = ["-c", (editor ?? "vi") + " \"$1\"", "sh", file.path]
      do {
        try process.run()
      } catch {
        throw CommandError("cannot start the editor: \(error)")
      }
      process.waitUntilExit()
      guard process.terminationStatus == 0 else {
        throw CommandError("the editor failed with status \(process.terminationStatus)")
      }
    }

    /// What is offered where there is no policy yet.
    private static let example = """
      {
        // Everybody may reach everything. An empty list would let nobody reach anything.
        "grants": [
          {"src": ["*"], "dst": ["*"], "ip": ["*"]},
        ],
      }

      """
  }
}
