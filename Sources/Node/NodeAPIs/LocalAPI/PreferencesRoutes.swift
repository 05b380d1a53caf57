// SPDX-License-Identifier: Apache-2.0

import HTTPTransport
import JSON
import LocalAPI

extension LocalAPIHandler {
  /// `prefs`: reading is for all, changing for those who may.
  func preferences(_ call: Call) async -> HTTPResponse {
    if call.isRead { return .indented(await node.preferences().withoutPrivateKeys) }
    guard call.method == "PATCH" else { return .text("unsupported method", status: 405) }
    guard call.actor.mayWrite else { return .denied("prefs write") }
    let edit: MaskedPreferences
    do throws(JSONError) {
      edit = try MaskedPreferences(json: call.request.body)
    } catch {
      return .text("invalid preferences: \(error)", status: 400)
    }
    do {
      let current = await node.preferences()
      let wanted = try current.applying(edit)
      try wanted.validate()
      if let unserved = try UnservedPreference.first(in: edit, of: current) {
        throw PreferenceError.unserved(unserved)
      }
      let changed = try await node.edit(edit, by: call.actor)
      return .indented(changed.withoutPrivateKeys)
    } catch {
      return .error(error)
    }
  }

  /// `check-prefs`: whether preferences could be taken over; a failure is told with status 200.
  func checkPreferences(_ call: Call) async -> HTTPResponse {
    guard call.method == "POST" else { return .text("unsupported method", status: 405) }
    let wanted: Preferences
    do throws(JSONError) {
      wanted = try Preferences(json: call.request.body)
    } catch {
      return .text("invalid preferences: \(error)", status: 400)
    }
    do {
      try await objectTo(wanted)
      return .json(Empty())
    } catch {
      return .json(ErrorReply(reason(of: error)))
    }
  }

  /// `start`: takes preferences over and begins a login with a key, if one is given.
  func start(_ call: Call) async -> HTTPResponse {
    guard call.method == "POST" else { return .text("want POST", status: 400) }
    let options: StartOptions
    do throws(JSONError) {
      options = try StartOptions(json: call.request.body)
    } catch {
      return .text("invalid options: \(error)", status: 400)
    }
    do {
      if let wanted = options.updatePreferences { try await objectTo(wanted) }
      try await node.start(options, by: call.actor)
      return .done
    } catch {
      return .text(reason(of: error), status: statusCode(of: error))
    }
  }

  /// `login-interactive`: begins a login that a person completes.
  func startLogin(_ call: Call) async -> HTTPResponse {
    await post(call) { try await node.startInteractiveLogin() }
  }

  /// `logout`: gives up the node's key.
  func logout(_ call: Call) async -> HTTPResponse {
    await post(call) { try await node.logout() }
  }

  /// `profiles/`: the logins that are remembered; switching between them is not served.
  func profiles(_ call: Call) async -> HTTPResponse {
    switch (call.method, call.rest) {
    case ("GET", ""), ("HEAD", ""):
      return .json(await node.profiles())
    case ("GET", "current"), ("HEAD", "current"):
      return .json(await node.currentProfile())
    case ("GET", _), ("HEAD", _):
      let profile = await node.profiles().first { $0.id == call.rest }
      return profile.map { .json($0) } ?? .text("Profile not found", status: 404)
    default: return .text("use GET; several profiles are not served yet", status: 405)
    }
  }

  /// Throws the reason why `wanted` cannot be taken over.
  private func objectTo(_ wanted: Preferences) async throws {
    try wanted.validate()
    let current = await node.preferences()
    if let unserved = UnservedPreference.first(in: wanted, since: current) {
      throw PreferenceError.unserved(unserved)
    }
    try await node.check(wanted)
  }

  private func post(_ call: Call, _ action: () async throws -> Void) async -> HTTPResponse {
    guard call.method == "POST" else { return .text("want POST", status: 400) }
    do {
      try await action()
      return .done
    } catch {
      return .text(reason(of: error), status: statusCode(of: error))
    }
  }
}
