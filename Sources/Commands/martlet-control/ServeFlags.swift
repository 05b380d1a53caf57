// SPDX-License-Identifier: Apache-2.0

import CommandLine

/// The flags of `serve`.
enum ServeFlags {
  static let config = Flag<String>(
    "config",
    default: "/etc/martlet/control.json",
    environment: "MARTLET_CONTROL_CONFIG",
    help: "the configuration file"
  )
  static let listen = Flag<[String]>(
    "listen",
    default: ["0.0.0.0:8080"],
    environment: "MARTLET_CONTROL_LISTEN",
    help: "where machines connect: address:port, several with commas between them"
  )
  static let url = Flag<String>(
    "url",
    default: "",
    environment: "MARTLET_CONTROL_URL",
    help: "the address that clients are told: http://203.0.113.1:8080; required"
  )
  static let state = Flag<String>(
    "state",
    default: "/var/lib/martlet/control",
    environment: "MARTLET_CONTROL_STATE",
    help: "the directory that holds everything"
  )
  static let tlsCertificate = Flag<String>(
    "tls-cert",
    default: "",
    environment: "MARTLET_CONTROL_TLS_CERT",
    help: "a certificate chain in PEM; without one the server speaks plain HTTP"
  )
  static let tlsKey = Flag<String>(
    "tls-key",
    default: "",
    environment: "MARTLET_CONTROL_TLS_KEY",
    help: "the private key of the certificate, in PEM"
  )
  static let ipv4Prefix = Flag<String>(
    "ipv4-prefix",
    default: "100.64.0.0/10",
    environment: "MARTLET_CONTROL_IPV4_PREFIX",
    help: "where nodes get their IPv4 addresses from"
  )
  static let ipv6Prefix = Flag<String>(
    "ipv6-prefix",
    default: "fd7a:115c:a1e0::/48",
    environment: "MARTLET_CONTROL_IPV6_PREFIX",
    help: "where nodes get their IPv6 addresses from"
  )
  static let domain = Flag<String>(
    "domain",
    default: "tailnet.internal",
    environment: "MARTLET_CONTROL_DOMAIN",
    help: "the domain below which nodes have their names"
  )
  static let nodeExpiry = Flag<Duration>(
    "node-expiry",
    default: .zero,
    environment: "MARTLET_CONTROL_NODE_EXPIRY",
    help: "how long a user's node may stay before it must log in again; 0 for ever"
  )
  static let ephemeralTimeout = Flag<Duration>(
    "ephemeral-timeout",
    default: .seconds(30 * 60),
    environment: "MARTLET_CONTROL_EPHEMERAL_TIMEOUT",
    help: "how long an ephemeral node may be away before it is forgotten"
  )
  static let derp = Flag<Bool>(
    "derp",
    environment: "MARTLET_CONTROL_DERP",
    help: "run a relay too"
  )
  static let derpPort = Flag<UInt16>(
    "derp-port",
    default: 8443,
    environment: "MARTLET_CONTROL_DERP_PORT",
    help: "the TCP port of the relay"
  )
  static let stunPort = Flag<UInt16>(
    "stun-port",
    default: 3478,
    environment: "MARTLET_CONTROL_STUN_PORT",
    help: "the UDP port at which the relay tells nodes their addresses"
  )
  static let derpHostname = Flag<String>(
    "derp-hostname",
    default: "",
    environment: "MARTLET_CONTROL_DERP_HOSTNAME",
    help: "the name under which nodes reach the relay; by default the host of --url"
  )
  static let derpIP = Flag<String>(
    "derp-ip",
    default: "",
    environment: "MARTLET_CONTROL_DERP_IP",
    help: "the address under which nodes reach the relay, where names are not to be asked"
  )
  static let derpRegion = Flag<Int>(
    "derp-region",
    default: 900,
    environment: "MARTLET_CONTROL_DERP_REGION",
    help: "the number of the relay's region, from 900 to 999"
  )
  static let derpCertificate = Flag<String>(
    "derp-cert",
    default: "",
    environment: "MARTLET_CONTROL_DERP_CERT",
    help:
      "a certificate chain in PEM for the relay; by default it makes its own and nodes are told it"
  )
  static let derpKey = Flag<String>(
    "derp-key",
    default: "",
    environment: "MARTLET_CONTROL_DERP_KEY",
    help: "the private key of the relay's certificate, in PEM"
  )
  static let derpMap = Flag<String>(
    "derp-map",
    default: "",
    environment: "MARTLET_CONTROL_DERP_MAP",
    help: "a file with a relay map as JSON, for relays elsewhere"
  )
  static let logLevel = Flag<String>(
    "log-level",
    default: "info",
    environment: "MARTLET_CONTROL_LOG_LEVEL",
    help: "how much to log: trace, debug, info, notice, warning or error"
  )

  static let all: [any AnyFlag] = [
    config, listen, url, state, tlsCertificate, tlsKey, ipv4Prefix, ipv6Prefix, domain,
    nodeExpiry, ephemeralTimeout, derp, derpPort, stunPort, derpHostname, derpIP, derpRegion,
    derpCertificate, derpKey, derpMap, logLevel,
  ]
}
