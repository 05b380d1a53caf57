// SPDX-License-Identifier: Apache-2.0

import Glibc
import HTTPTransport
import LocalAPI
package import Logging

/// The door through which programs on this machine speak to the node: a unix socket.
package final class LocalAPIServer: Sendable {
  /// Why the door cannot be opened.
  package enum Failure: Error, Hashable, Sendable, CustomStringConvertible {
    /// Another daemon answers there.
    case alreadyRunning(path: String)
    /// The directory of the socket cannot be made.
    case noDirectory(path: String, number: Int32)

    package var description: String {
      switch self {
      case .alreadyRunning(let path):
        "\(path): address already in use: another daemon answers there. Stop it, or pass another --socket."
      case .noDirectory(let path, let number):
        "cannot make the directory \(path) (error \(number)). Run as root, or pass another --socket."
      }
    }
  }

  /// What is taken from clients.
  private static let limits: HTTPLimits = {
    var limits = HTTPLimits()
    limits.maximumConnections = 512
    limits.maximumConnectionsPerUser = 64
    return limits
  }()

  private let server: HTTPServer

  private init(_ server: HTTPServer) { self.server = server }

  /// Opens the door at `path` for everyone; what they may do, their user decides.
  ///
  /// - Throws: `Failure` when a live daemon answers there already, or `HTTPTransportError`.
  package static func start(
    at path: String,
    node: any NodeControl,
    version: String,
    logger: Logger
  ) async throws -> LocalAPIServer {
    if let other = try? await Dialer().dial(unixPath: path, timeout: .seconds(2)) {
      // Whoever cannot be reached there is no daemon: the socket is stale or missing.
      other.abort()
      throw Failure.alreadyRunning(path: path)
    }
    try makeDirectory(of: path)
    let handler = LocalAPIHandler(
      node: node,
      version: version,
      daemonUserID: geteuid(),
      logger: logger
    )
    let server = try await HTTPServer.start(
      on: [.unix(path: path, mode: 0o666)],
      limits: limits,
      handler: { request in await handler.respond(to: request) }
    )
    return LocalAPIServer(server)
  }

  /// Closes the door and ends every conversation.
  package func shutdown() async { await server.shutdown() }

  /// Makes the directory of the socket, open to all, unless it is there.
  private static func makeDirectory(of path: String) throws(Failure) {
    guard let slash = path.lastIndex(of: "/"), slash > path.startIndex else { return }
    let directory = String(path[..<slash])
    if unsafe mkdir(directory, 0o755) == 0 {
      // The mask of the process may have taken away what others need to get in.
      guard unsafe chmod(directory, 0o755) == 0 else {
        throw .noDirectory(path: directory, number: errno)
      }
    } else if errno != EEXIST {
      throw .noDirectory(path: directory, number: errno)
    }
  }
}
