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
  /// The policy to put in force at start; nil for the one that is stored.
  package var policy: PolicyFile?
  /// Who says who people are; nil where an administrator lets machines in.
  package var identityProvider: IdentityProviderOptions?
  /// Where counters are told to whoever asks; nowhere, unless said.
  package var metricsListen: [Endpoint] = []
  /// A file with names that nodes are told, watched; empty for none.
  package var recordsFile = ""
  /// How many machines may be connected.
  package var maximumMachines = 20_000

  /// A file with a policy, as it was found.
  package struct PolicyFile: Sendable {
    /// Where it is.
    package var path: String
    /// Its text, or why it cannot be read.
    package var content: Result<String, Refusal>

    /// A file at `path`.
    package init(path: String, content: Result<String, Refusal>) {
      self.path = path
      self.content = content
    }
  }

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
