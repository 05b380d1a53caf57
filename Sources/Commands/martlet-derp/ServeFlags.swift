// SPDX-License-Identifier: Apache-2.0

import CommandLine

/// The flags of `serve`.
enum ServeFlags {
  static let config = Flag<String>(
    "config",
    default: "/etc/martlet/derp.json",
    environment: "MARTLET_DERP_CONFIG",
    help: "the configuration file"
  )
  static let listen = Flag<[String]>(
    "listen",
    default: ["0.0.0.0:443"],
    environment: "MARTLET_DERP_LISTEN",
    help: "where clients connect: address:port, several with commas between them"
  )
  static let httpListen = Flag<[String]>(
    "http-listen",
    default: [],
    environment: "MARTLET_DERP_HTTP_LISTEN",
    help: "where plain HTTP is answered besides, usually 0.0.0.0:80; by default nowhere"
  )
  static let stunPort = Flag<Int>(
    "stun-port",
    default: 3478,
    environment: "MARTLET_DERP_STUN_PORT",
    help: "the UDP port at which machines are told their addresses; -1 for none"
  )
  static let hostname = Flag<String>(
    "hostname",
    default: "",
    environment: "MARTLET_DERP_HOSTNAME",
    help: "the name or address under which clients reach the relay; required with --self-signed"
  )
  static let certificate = Flag<String>(
    "cert",
    default: "",
    environment: "MARTLET_DERP_CERT",
    help: "a certificate chain in PEM"
  )
  static let key = Flag<String>(
    "key",
    default: "",
    environment: "MARTLET_DERP_KEY",
    help: "the private key of the certificate, in PEM"
  )
  static let selfSigned = Flag<Bool>(
    "self-signed",
    environment: "MARTLET_DERP_SELF_SIGNED",
    help: "make a certificate; the relay map must carry the hash that is printed"
  )
  static let plain = Flag<Bool>(
    "plain",
    environment: "MARTLET_DERP_PLAIN",
    help: "speak without TLS, behind a proxy that adds it"
  )
  static let state = Flag<String>(
    "state",
    default: "/var/lib/martlet-derp",
    environment: "MARTLET_DERP_STATE",
    help: "the directory that keeps the relay's key and its own certificate"
  )
  static let acceptLimit = Flag<Int>(
    "accept-limit",
    default: 0,
    environment: "MARTLET_DERP_ACCEPT_LIMIT",
    help: "how many connections are accepted a second; 0 for as many as come"
  )
  static let connectionLimit = Flag<Int>(
    "connection-limit",
    default: 16_384,
    environment: "MARTLET_DERP_CONNECTION_LIMIT",
    help: "how many connections there may be at once"
  )
  static let logLevel = Flag<String>(
    "log-level",
    default: "info",
    environment: "MARTLET_DERP_LOG_LEVEL",
    help: "how much to log: trace, debug, info, notice, warning or error"
  )

  static let all: [any AnyFlag] = [
    config, listen, httpListen, stunPort, hostname, certificate, key, selfSigned, plain, state,
    acceptLimit, connectionLimit, logLevel,
  ]
}
