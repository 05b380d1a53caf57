// SPDX-License-Identifier: Apache-2.0

import Addressing
import ArgumentParser
import CommandLine
import Coordination
import CoordinationServer
import CoordinationStore
import Cryptography
import JSON
import Keys
import Timing

#if canImport(Glibc)
import Glibc
#endif

/// `martlet-control backup`: a copy of everything while the server runs.
struct BackupCommand: AdminCommand {
  static let configuration = CommandConfiguration(
    commandName: "backup",
    abstract: "Copy the database and the server's keys while it runs.",
    discussion: "The directory must not be there yet. It holds secrets: only its owner may read it."
  )

  @OptionGroup var shared: SharedFlags
  @Argument(help: "The directory to make, as the server's machine names it.")
  var directory: String

  func run() async throws {
    let path = directory.hasPrefix("/") ? directory : Self.here + "/" + directory
    let made = try await server.call("POST", "backup", ["path": .string(path)])
    show(made) { "Copied \(made.cell("files")) to \(path).\n" }
  }

  private static var here: String {
    // SAFETY: `getcwd` with no buffer makes one of the right size, which is freed here.
    guard let text = unsafe getcwd(nil, 0) else { return "" }
    defer { unsafe free(text) }
    return unsafe String(cString: text)
  }
}

/// `martlet-control restore`: a copy in the place of what a stopped server keeps.
struct RestoreCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "restore",
    abstract: "Put a backup in the place of what a stopped server keeps; that is set aside."
  )

  @OptionGroup var shared: SharedFlags
  @Option(help: ArgumentHelp("Where the server keeps its state.", valueName: "directory"))
  var state = "/var/lib/martlet/control"
  @Argument(help: "The directory that 'backup' made.")
  var directory: String

  func run() async throws {
    try await Offline.run {
      let place = try StateDirectory(state)
      let aside = try await Backup.restore(from: directory, into: place)
      place.release()
      output.print("Restored \(directory) into \(state).")
      for path in aside { output.print("What was there before is \(path).") }
    }
  }
}

/// `martlet-control import`: networks that other servers keep.
struct ImportCommand: CommandGroup {
  static let configuration = CommandConfiguration(
    commandName: "import",
    abstract: "Take over the network of another server.",
    subcommands: [Headscale.self]
  )

  struct Headscale: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Take over users, nodes and policy from headscale's SQLite database.",
      discussion: """
        Says what would be done; --apply does it, into a state that holds no users and nodes yet, \
        while neither server runs. Give the new server the old one's address and prefixes, and its \
        nodes come back by themselves.
        """
    )

    @OptionGroup var shared: SharedFlags
    @Option(help: ArgumentHelp("Where the server keeps its state.", valueName: "directory"))
    var state = "/var/lib/martlet/control"
    @Option(help: ArgumentHelp("The old server's noise_private.key.", valueName: "file"))
    var noiseKey: String?
    @Option(help: .yesNo("Do it."))
    var apply: Bool?
    @Argument(help: "The database: db.sqlite.")
    var file: String

    func run() async throws {
      try await Offline.run {
        var entropy = Entropy.system
        let found = try HeadscaleImport(path: file, using: &entropy)
        show(found)
        guard apply ?? false else {
          output.print("Nothing was written. --apply does it.")
          return
        }
        let key = try noiseKey.map(Self.key)
        let place = try StateDirectory(state)
        let store = try SQLiteStore(path: place.file(SQLiteStore.fileName))
        let records = try await store.load(.first)
        guard records.users.isEmpty, records.nodes.isEmpty else {
          throw StoreError(
            .conflict,
            "\(state) holds \(records.users.count) users and \(records.nodes.count) nodes already. "
              + "Choose an empty one with --state."
          )
        }
        if let key { try place.write(ControlServer.keyFile, Array((key + "\n").utf8)) }
        let time = Timestamp(seconds: Int64(Glibc.time(nil)))
        try await store.commit(found.mutations(by: "uid \(geteuid())", at: time), to: .first)
        await store.close()
        place.release()
        output.print("Taken over into \(state).")
      }
    }

    private func show(_ found: HeadscaleImport) {
      var table = Table()
      table.add("ID", "Node", "Owner", "Addresses", "Routes")
      for node in found.nodes {
        let owner = node.user.flatMap { id in found.users.first { $0.id == id }?.name }
        table.add(
          node.id.description,
          node.name,
          owner ?? node.tags.joined(separator: ","),
          node.addresses.map(\.description).joined(separator: ", "),
          node.approvedRoutes.map(\.description).joined(separator: ", ")
        )
      }
      output.print("Users: \(found.users.map(\.name).joined(separator: ", "))")
      output.print(table.text, terminator: "")
      output.print(found.policy == nil ? "No policy is taken over." : "The policy is taken over.")
      for omission in found.omissions { output.print("Left out: \(omission)") }
    }

    private static func key(_ path: String) throws(CommandError) -> String {
      guard let bytes = try SmallFile.read(path) else {
        throw CommandError("cannot read \(path): no such file")
      }
      let text = String(decoding: bytes, as: UTF8.self).filter { !$0.isWhitespace }
      guard let key = MachinePrivateKey(text) else {
        throw CommandError("\(path) holds no private key", hint: "It begins with 'privkey:'.")
      }
      return key.text
    }
  }
}

/// What is done while no server runs.
enum Offline {
  /// Does it; trouble with the state ends the program as it would end a server.
  static func run(_ work: () async throws -> Void) async throws {
    _ = umask(0o077)
    do {
      try await work()
    } catch let error as StoreError {
      throw CommandError(
        error.message,
        code: error.kind == .inUse
          ? .alreadyRunning : error.kind == .inaccessible ? .permission : .failure
      )
    }
  }
}
