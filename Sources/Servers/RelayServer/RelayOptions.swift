// SPDX-License-Identifier: Apache-2.0

package import ACME
package import Addressing
package import DERP
package import Keys

/// What a relay is told.
package struct RelayOptions: Sendable {
  /// What the relay shows to TLS clients.
  package enum Certificate: Hashable, Sendable {
    /// Files in PEM: the certificate with its chain, and the key.
    case files(certificate: String, key: String)
    /// One that an authority gives and that is renewed before it ends.
    case managed(ACMEOptions)
    /// One of its own, kept in the state directory; clients must be told its hash.
    case selfSigned
    /// None: plain HTTP, for tests and behind a proxy that speaks TLS.
    case none
  }

  /// What visitors find at `/`.
  package enum Home: Hashable, Sendable {
    /// A page that says what this is.
    case page
    /// An empty page.
    case blank
    /// Another address, to which they are sent.
    case redirect(to: String)
  }

  /// Where clients connect; port 0 lets the operating system choose.
  package var listen: [Endpoint]
  /// Where STUN is answered on UDP; empty for nowhere.
  package var stun: [Endpoint]
  /// Where plain HTTP is answered besides, for the detection of captive portals.
  package var plainListen: [Endpoint]
  /// The name or address by which clients know the relay; a certificate of its own is made out to it.
  package var hostname: String
  /// The certificate.
  package var certificate: Certificate
  /// The directory that keeps the relay's key and certificate; nil keeps them in memory.
  package var stateDirectory: String?
  /// The most clients and others that may be connected at once.
  package var maximumConnections: Int
  /// How many of them one address may have, or one IPv6 network of 64 bits.
  ///
  /// Whole offices come from one address.
  package var maximumConnectionsPerAddress: Int
  /// How many connections are accepted a second; nil for as many as come.
  package var acceptsPerSecond: Int?
  /// How many may come at once over that; as many as in a second where nil.
  package var acceptBurst: Int?
  /// How long a TCP connection is idle before the kernel asks whether the client is still there.
  package var keepAliveSeconds = 600
  /// How long sent data may stay unacknowledged.
  package var userTimeoutMilliseconds = 15_000
  /// How long a client may take no bytes before it is disconnected; nil for ever.
  package var writeTimeout: Duration?
  /// How long a stranger may take for each step until it has introduced itself.
  package var introductionTimeout: Duration
  /// Who may use the relay; everybody who proves their key where nil.
  package var admits: (@Sendable (NodeKey, Endpoint?) async -> Bool)?
  /// Who is asked besides whether a client may use the relay, once when it comes.
  package var verifier = ClientVerifier()
  /// How much one client may send; as much as it likes where nil.
  package var rateLimit: RelayRateLimit?
  /// Whether packets are relayed; a relay may only answer STUN and show its pages.
  package var relays = true
  /// What visitors find at `/`.
  package var home = Home.page
  /// From where `/debug/` and `/metrics` are answered, besides this machine and the overlay.
  package var debuggers: [IPPrefix] = []
  /// What this build calls itself.
  package var version = ""
  /// How much each connection remembers of where its packets went.
  package var peerCache = PeerLookupCache.Limits()
  /// Which of several connections with one key gets the packets.
  package var duplicates = RelayPeers.DuplicatePolicy.lastWriter
  /// The secret of the mesh; nil where the relay stands alone.
  package var meshKey: MeshKey?
  /// The other relays of the mesh.
  package var meshPeers: [MeshPeer] = []

  /// Options with the usual limits.
  package init(
    listen: [Endpoint],
    stun: [Endpoint] = [],
    plainListen: [Endpoint] = [],
    hostname: String,
    certificate: Certificate,
    stateDirectory: String? = nil,
    maximumConnections: Int = 16_384,
    maximumConnectionsPerAddress: Int? = nil,
    acceptsPerSecond: Int? = nil,
    writeTimeout: Duration? = .seconds(5),
    introductionTimeout: Duration = .seconds(10),
    admits: (@Sendable (NodeKey, Endpoint?) async -> Bool)? = nil
  ) {
    (self.listen, self.stun, self.plainListen) = (listen, stun, plainListen)
    (self.hostname, self.certificate, self.stateDirectory) = (hostname, certificate, stateDirectory)
    (self.maximumConnections, self.acceptsPerSecond) = (maximumConnections, acceptsPerSecond)
    self.maximumConnectionsPerAddress =
      maximumConnectionsPerAddress ?? max(1, maximumConnections / 4)
    (self.writeTimeout, self.introductionTimeout) = (writeTimeout, introductionTimeout)
    self.admits = admits
  }
}

/// Another relay of the same mesh, and how it is reached.
package struct MeshPeer: Hashable, Sendable {
  /// The name that its certificate has to be for.
  package var host: String
  /// Its port.
  package var port: UInt16
  /// The name or address to connect to, where that is another.
  package var dial: String?
  /// Whether it speaks TLS.
  package var isTLS: Bool
  /// The SHA-256 of its certificate, where nobody vouches for it.
  package var pin: [UInt8]?

  /// A relay.
  package init(
    host: String,
    port: UInt16 = 443,
    dial: String? = nil,
    isTLS: Bool = true,
    pin: [UInt8]? = nil
  ) {
    (self.host, self.port, self.dial, self.isTLS, self.pin) = (host, port, dial, isTLS, pin)
  }
}

/// Why a relay cannot start.
package struct RelayError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What happened, to what.
  package let description: String

  init(_ description: String) { self.description = description }
}
