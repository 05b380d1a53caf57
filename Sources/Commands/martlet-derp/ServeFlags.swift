// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLine
import Logging

/// The flags of `serve`; those that were not given are nil.
struct ServeFlags: ParsableArguments {
  @Option(help: ArgumentHelp("The configuration file (/etc/martlet/derp.json).", valueName: "file"))
  var config: String?
  @Option(
    help: ArgumentHelp(
      "Where clients connect, several with commas between them (0.0.0.0:443).",
      valueName: "address:port"
    ),
    transform: settingValue
  )
  var listen: [String]?
  @Option(
    help: ArgumentHelp(
      "Where plain HTTP is answered besides, usually 0.0.0.0:80; by default nowhere.",
      valueName: "address:port"
    ),
    transform: settingValue
  )
  var httpListen: [String]?
  @Option(
    help: ArgumentHelp(
      "The UDP port at which machines are told their addresses; -1 for none (3478).",
      valueName: "port"
    )
  )
  var stunPort: Int?
  @Option(
    help: ArgumentHelp(
      "The name or address under which clients reach the relay; required with --self-signed.",
      valueName: "name"
    )
  )
  var hostname: String?
  @Option(help: ArgumentHelp("A certificate chain in PEM.", valueName: "file"))
  var cert: String?
  @Option(help: ArgumentHelp("The private key of the certificate, in PEM.", valueName: "file"))
  var key: String?
  @Option(help: .yesNo("Make a certificate; the relay map must carry the hash that is printed."))
  var selfSigned: Bool?
  @Option(help: .yesNo("Speak without TLS, behind a proxy that adds it."))
  var plain: Bool?
  @Option(
    help: ArgumentHelp(
      "The directory that keeps the relay's key and its own certificate (/var/lib/martlet-derp).",
      valueName: "directory"
    )
  )
  var state: String?
  @Option(
    help: ArgumentHelp(
      "How many connections are accepted a second; 0 for as many as come (0).",
      valueName: "n"
    )
  )
  var acceptLimit: Int?
  @Option(
    help: ArgumentHelp("How many connections there may be at once (16384).", valueName: "n")
  )
  var connectionLimit: Int?
  @Option(
    help: ArgumentHelp(
      "How many receivers each connection remembers; 0 for what suits, -1 for none (0).",
      valueName: "n"
    )
  )
  var peerCacheMaxEntries: Int?
  @Option(
    help: ArgumentHelp(
      "How long it remembers one that it does not send to, like 10m (10m).",
      valueName: "duration"
    )
  )
  var peerCacheMaxIdle: String?
  @Option(
    help: ArgumentHelp("The file with the secret of the mesh, 64 hex digits.", valueName: "file")
  )
  var meshPskFile: String?
  @Option(
    help: ArgumentHelp(
      "The other relays of the mesh, with commas between them: name, name:port, or "
        + "name:port/address to connect elsewhere.",
      valueName: "relays"
    ),
    transform: settingValue
  )
  var meshWith: [String]?
  @Option(
    help: ArgumentHelp(
      "Which of several connections with one key gets the packets: last-writer, or "
        + "disable-fighters for none of those that take turns (last-writer).",
      valueName: "policy"
    )
  )
  var duplicates: String?
  @Option(
    help: ArgumentHelp(
      "How much to log: trace, debug, info, notice, warning or error (info).",
      valueName: "level"
    ),
    transform: settingValue
  )
  var logLevel: Logger.Level?
}
