// SPDX-License-Identifier: Apache-2.0

package import Addressing

/// An HTTP/1.1 server on TCP ports and unix sockets.
package final class HTTPServer: Sendable {
  private let listener: Listener

  private init(_ listener: Listener) { self.listener = listener }

  /// Starts answering requests.
  ///
  /// - Parameters:
  ///   - addresses: Where to listen; either all work or none.
  ///   - tls: The certificate to show; nil for plain HTTP. Unix sockets are always plain.
  ///   - limits: What is taken from clients.
  ///   - handler: Answers requests, several at once; those of one connection in order.
  /// - Returns: The server, listening.
  /// - Throws: `HTTPTransportError`.
  package static func start(
    on addresses: [ListenAddress],
    tls: TLSServerSettings? = nil,
    limits: HTTPLimits = HTTPLimits(),
    handler: @escaping HTTPHandler
  ) async throws -> HTTPServer {
    let listener = try await Listener.start(on: addresses, tls: tls, limits: limits) { stream in
      await HTTP1Connection(stream: stream, limits: limits, handler: handler).run()
    }
    return HTTPServer(listener)
  }

  /// The TCP endpoints, with the ports that the operating system chose.
  package var endpoints: [Endpoint] { listener.endpoints }

  /// How many connections there are.
  package var connectionCount: Int { listener.connectionCount }

  /// How many connections were closed as soon as they came, for a limit.
  package var refusedConnections: Int { listener.refusedConnections }

  /// How the TLS handshakes went.
  package var tlsHandshakes: TLSHandshakes { listener.tlsHandshakes }

  /// Stops listening; connections go on.
  package func stopAccepting() async { await listener.stopAccepting() }

  /// Stops listening and ends every connection.
  package func shutdown() async { await listener.shutdown() }
}
