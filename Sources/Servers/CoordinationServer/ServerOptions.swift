// SPDX-License-Identifier: Apache-2.0

package import Addressing
package import Coordination
package import HTTPTransport

/// What the operator decides about the server itself.
package struct ServerOptions: Sendable {
  /// Where machines connect.
  package var listen: [Endpoint]
  /// With which certificate; none for plain HTTP.
  package var tls: TLSServerSettings?
  /// The socket of the administrator's command line.
  package var socketPath: String
  /// Where everything is kept.
  package var stateDirectory: String
  /// What is decided about the network.
  package var tailnet: TailnetOptions
  /// What the server calls itself.
  package var version: String
  /// How many machines may be connected.
  package var maximumMachines = 20_000

  /// Options with the default bounds.
  package init(
    listen: [Endpoint],
    tls: TLSServerSettings? = nil,
    socketPath: String,
    stateDirectory: String,
    tailnet: TailnetOptions,
    version: String
  ) {
    self.listen = listen
    self.tls = tls
    self.socketPath = socketPath
    self.stateDirectory = stateDirectory
    self.tailnet = tailnet
    self.version = version
  }
}
