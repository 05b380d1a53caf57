// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLine
import HTTPTransport
import JSON
import LocalAPI

/// Speaks to the daemon over its socket.
struct LocalClient: Sendable {
  /// The longest answer that is read; a network of a hundred thousand peers fits.
  private static let maximumAnswerBytes = 256 << 20

  /// Where the daemon listens.
  let path: String
  /// The command that is running: `up`.
  private let verb: String
  private let versions: VersionWatch

  /// A client for the daemon that `options` or the environment name.
  init(_ options: DaemonOptions, for command: some DaemonCommand) {
    let variable = command.environment["MARTLET_SOCKET"] ?? ""
    path =
      options.socket ?? (variable.isEmpty ? LocalAPIRoutes.defaultSocketPath : variable)
    verb = type(of: command)._commandName
    versions = VersionWatch(command.output)
  }

  /// The answer to a request; `target` follows `/localapi/v0/`.
  ///
  /// - Throws: `CommandError` when the daemon is not there, refuses, or fails.
  func ask(
    _ method: String,
    _ target: String,
    _ body: [UInt8] = [],
    timeout: Duration = .seconds(60)
  ) async throws -> [UInt8] {
    let (status, bytes) = try await exchange(method, target, body, timeout)
    guard (200...204).contains(status) else { throw refusal(status, bytes) }
    return bytes
  }

  /// The answer to a request, whatever its status.
  func exchange(
    _ method: String,
    _ target: String,
    _ body: [UInt8] = [],
    _ timeout: Duration
  ) async throws -> (status: Int, body: [UInt8]) {
    do {
      let response = try await open(method, target, body, timeout)
      return (response.status, try await response.collect(upTo: Self.maximumAnswerBytes))
    } catch let error as HTTPTransportError {
      throw failure(error)
    }
  }

  /// The answer to a request, whose body may come bit by bit.
  func stream(_ target: String) async throws -> HTTPBodySequence {
    do {
      let response = try await open("GET", target, [], .seconds(60))
      guard response.status == 200 else {
        throw refusal(response.status, try await response.collect(upTo: Self.maximumAnswerBytes))
      }
      return response.body
    } catch let error as HTTPTransportError {
      throw failure(error)
    }
  }

  /// The answer to a request as a record.
  func record<Record: JSONReadable>(
    _ method: String,
    _ target: String,
    _ body: [UInt8] = []
  ) async throws -> Record {
    try read(try await ask(method, target, body))
  }

  /// An answer as a record.
  func read<Record: JSONReadable>(_ bytes: [UInt8]) throws -> Record {
    do {
      return try Record(json: bytes)
    } catch {
      throw CommandError(
        "what answers at \(path) is no martletd, or one of another version: \(error)",
        hint: "'martlet version --daemon' shows both versions."
      )
    }
  }

  private func open(
    _ method: String,
    _ target: String,
    _ body: [UInt8],
    _ timeout: Duration
  ) async throws -> HTTPClientResponse {
    let response = try await HTTPClient(timeout: timeout).request(
      method,
      to: .unix(path: path),
      host: LocalAPIRoutes.host,
      path: LocalAPIRoutes.prefix + target,
      body: body
    )
    versions.look(at: response.headers)
    return response
  }

  /// What a failed connection means.
  private func failure(_ error: HTTPTransportError) -> CommandError {
    switch error.reason {
    case .timedOut: DaemonFailure.timedOut(path)
    case .notPermitted: DaemonFailure.notPermitted(path)
    case .unreachable: DaemonFailure.notRunning(path)
    default: CommandError("martletd at \(path): \(error.what)")
    }
  }

  /// What a refusal means.
  private func refusal(_ status: Int, _ body: [UInt8]) -> CommandError {
    let text = printable(Self.reason(body))
    guard status == 403 else {
      return CommandError(text.isEmpty ? "martletd answered with status \(status)" : text)
    }
    return CommandError(
      "Access denied: \(text)",
      hint: ProcessFacts.isRoot
        ? ""
        : "Use 'sudo martlet \(verb)', or 'sudo martlet set --operator=$USER' once to not require root."
    )
  }

  /// The reason in a body: the text, or what JSON has under `Error`.
  private static func reason(_ body: [UInt8]) -> String {
    let text = String(decoding: body.prefix(4096), as: UTF8.self)
    // What is not JSON is the reason itself.
    let tree = try? JSONValue(parsing: text)
    let reason = (tree?["Error"] ?? tree?["error"])?.string ?? text
    return String(reason.reversed().drop { $0.isNewline }.reversed())
  }
}

/// Why the daemon does not answer.
enum DaemonFailure {
  static func notRunning(_ path: String) -> CommandError {
    CommandError(
      "failed to connect to martletd at \(path); it doesn't appear to be running",
      hint: "Start it (sudo systemctl start martletd), or name its socket with --socket."
    )
  }

  static func notPermitted(_ path: String) -> CommandError {
    CommandError(
      "failed to connect to martletd at \(path): permission denied",
      hint: "Run as root, or let your user into the directory of the socket."
    )
  }

  static func timedOut(_ path: String) -> CommandError {
    CommandError("martletd at \(path) did not answer in time", hint: "Look at its log.")
  }
}

/// A command that speaks to the daemon.
protocol DaemonCommand: AsyncParsableCommand {
  var daemon: DaemonOptions { get }
}

extension DaemonCommand {
  /// The daemon.
  var client: LocalClient { LocalClient(daemon, for: self) }
}
