// SPDX-License-Identifier: Apache-2.0

import Addressing
import CommandLine
import HTTPTransport
import JSON
import Keys
import LocalAPI

/// Carries out what `up` decided, and tells what a person has to do.
struct Joining: Sendable {
  let client: LocalClient
  let output: Output
  let asJSON: Bool
  /// How long to wait; zero for as long as it takes.
  let timeout: Duration

  /// Does it, and returns when the node is connected.
  func carryOut(_ plan: JoinPlan, since status: Status) async throws {
    if case .edit(let edit) = plan {
      try await client.edit(edit)
      if asJSON { tell(state: BackendState.running.name) }
      return
    }
    try await withTimeout { try await join(plan, since: status) }
  }

  private func join(_ plan: JoinPlan, since status: Status) async throws {
    // The watch comes first: what happens after `start` must not be missed.
    let watch = try await client.watch()
    var oldKey: NodeKey?
    switch plan {
    case .edit: preconditionFailure("an edit needs no watch")
    case .turnOn:
      var edit = MaskedPreferences()
      edit.set(.wantRunning, \.wantRunning, true)
      try await client.edit(edit)
    case .start(let preferences, let key, let isInteractive, let isReauthForced):
      try await client.check(preferences)
      var options = StartOptions()
      options.updatePreferences = preferences
      options.authKey = key ?? ""
      try await client.start(options)
      if isInteractive { try await client.startInteractiveLogin() }
      if isReauthForced { oldKey = status.selfStatus.publicKey }
    }
    try await follow(watch, oldKey: oldKey)
  }

  /// Waits until the node is connected, with another key than `oldKey`.
  private func follow(_ watch: BusWatch, oldKey: NodeKey?) async throws {
    var teller = JoinTeller(output: output, asJSON: asJSON)
    var messages = watch.makeAsyncIterator()
    while true {
      // The bus says that something happened; what the state is now, only status tells.
      let status = try await client.status(peers: false)
      if status.state == .running, status.selfStatus.publicKey != oldKey {
        teller.connected()
        if asJSON { tell(state: status.backendState) }
        return
      }
      if status.state == .needsMachineAuth { teller.waitsForAdministrator(status) }
      if !status.authURL.isEmpty { teller.visit(status.authURL, state: status.backendState) }
      guard let message = try await messages.next() else {
        throw CommandError(
          "martletd ended while we waited for it",
          hint: "Look at its log, and run the command again."
        )
      }
      if let text = message.errorMessage { throw CommandError("backend error: \(printable(text))") }
      if let url = message.browseToURL, !url.isEmpty {
        teller.visit(url, state: status.backendState)
      }
    }
  }

  private func tell(state: String) {
    output.print(JSONValue.object(["BackendState": .string(state)]).text(indentation: "  "))
  }

  private func withTimeout(_ body: @escaping @Sendable () async throws -> Void) async throws {
    guard timeout > .zero else { return try await body() }
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await body() }
      group.addTask { [timeout] in
        try await Task.sleep(for: timeout)
        throw CommandError(
          "timeout waiting for Martlet service to enter a Running state; check health with \"martlet status\""
        )
      }
      defer { group.cancelAll() }
      try await group.next()
    }
  }
}

/// Says once what a person has to do.
struct JoinTeller {
  private let output: Output
  private let asJSON: Bool
  private var told: Set<String> = []

  init(output: Output, asJSON: Bool) { (self.output, self.asJSON) = (output, asJSON) }

  /// The person has to go to `url`.
  mutating func visit(_ url: String, state: String) {
    guard told.insert(url).inserted else { return }
    guard asJSON else {
      return output.complain("\nTo authenticate, visit:\n\n\t\(printable(url))\n")
    }
    let facts: JSONValue = ["AuthURL": .string(url), "BackendState": .string(state)]
    output.print(facts.text(indentation: "\t"))
  }

  /// An administrator has to let the machine in.
  mutating func waitsForAdministrator(_ status: Status) {
    guard told.insert("administrator").inserted, !asJSON else { return }
    output.complain(
      """

      To approve your machine, an administrator of the network runs on its server:

      \tmartlet-control nodes approve NAME

      """
    )
  }

  /// The node is connected.
  func connected() {
    if !told.isEmpty, !asJSON { output.complain("Success.") }
  }
}
