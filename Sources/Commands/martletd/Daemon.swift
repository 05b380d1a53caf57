// SPDX-License-Identifier: Apache-2.0

import CommandLine
import Glibc
import HTTPTransport
import HostConfiguration
import HostIO
import Logging
import NodeAPIs
import NodeCore

/// Runs a node and its doors until somebody asks for the end.
enum Daemon {
  static func run(_ settings: DaemonSettings) async throws {
    _ = umask(0o077)
    let notifier = ServiceNotifier(environment: ProcessFacts.environment)
    let terminations = Termination.signals()
    let logger = Logger(label: "node")
    let node = try await told { try await NodeBackend.start(settings.node, logger: logger) }
    let door: LocalAPIServer
    do {
      door = try await told {
        try await LocalAPIServer.start(
          at: settings.socketPath,
          node: NodeDoor(node: node),
          version: Version.long,
          logger: Logger(label: "localapi")
        )
      }
    } catch {
      await node.shutdown()
      throw error
    }
    logger.notice(
      "ready",
      metadata: [
        "version": "\(Version.long)", "socket": "\(settings.socketPath)",
        "state": "\(settings.node.stateDirectory)", "interface": "\(settings.node.interfaceName)",
      ]
    )
    notifier.ready()
    let thrift = Task { await giveBackMemory() }
    defer { thrift.cancel() }
    for await _ in terminations { break }
    notifier.stopping()
    logger.notice("stopping")
    await door.shutdown()
    await node.shutdown()
  }

  /// Gives back the memory that only starting up or a question needed, until the task is cancelled.
  private static func giveBackMemory() async {
    var rule = GiveBackRule()
    var wait = GiveBackRule.settling
    while true {
      // Sleeping fails when the task was cancelled.
      guard (try? await Task.sleep(for: wait, tolerance: wait / 10)) != nil else { return }
      if rule.shouldGiveBack(resident: ProgramMemory.residentFileBytes) { ProgramMemory.giveBack() }
      wait = GiveBackRule.interval
    }
  }

  /// Removes what a killed daemon left behind; repeating it does nothing.
  static func cleanUp(_ settings: DaemonSettings) throws {
    do {
      let lock = try GroundLock(settings.node.ground)
      var router = try HostRouter()
      let report = try router.cleanUp(settings.node.ground)
      _ = consume lock
      guard let problem = report.problems.first else { return }
      throw CommandError("\(problem)")
    } catch let error as HostError {
      throw CommandError("\(error)", code: code(of: error))
    }
  }

  /// Puts errors into words, with the exit codes that stand for them.
  private static func told<Value: Sendable>(
    _ act: () async throws -> Value
  ) async throws -> Value {
    do {
      return try await act()
    } catch let error as HostError {
      throw CommandError("\(error)", code: code(of: error))
    } catch let error as LocalAPIServer.Failure {
      var isRunning = false
      if case .alreadyRunning = error { isRunning = true }
      throw CommandError("\(error)", code: isRunning ? .alreadyRunning : .permission)
    } catch let error as HTTPTransportError {
      throw CommandError("\(error)", code: error.reason == .inUse ? .alreadyRunning : .failure)
    }
  }

  private static func code(of error: HostError) -> ExitCode {
    switch error.code {
    case EPERM, EACCES: .permission
    case EADDRINUSE, EWOULDBLOCK, EBUSY: .alreadyRunning
    case EINVAL, ENOTDIR: .configuration
    default: .failure
    }
  }
}
