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
  @Option(
    help: ArgumentHelp(
      "Where the certificate comes from: manual, from --certdir/NAME.crt and .key, or letsencrypt "
        + "or gcp, from an authority that finds --hostname at port 443 or 80; you accept its terms.",
      valueName: "mode"
    )
  )
  var certmode: String?
  @Option(
    help: ArgumentHelp(
      "The directory of such certificates (certs in the directory of --state).",
      valueName: "directory"
    )
  )
  var certdir: String?
  @Option(
    help: ArgumentHelp(
      "Where the authority writes to when something is wrong.",
      valueName: "address"
    )
  )
  var acmeEmail: String?
  @Option(
    help: ArgumentHelp("The directory of another authority than Let's Encrypt.", valueName: "url")
  )
  var acmeUrl: String?
  @Option(
    help: ArgumentHelp(
      "Certificates in PEM that vouch for that authority's own address.",
      valueName: "file"
    )
  )
  var acmeCa: String?
  @Option(
    help: ArgumentHelp(
      "The name of your account with that authority, where it wants one (gcp does).",
      valueName: "id"
    )
  )
  var acmeEabKid: String?
  @Option(
    help: ArgumentHelp(
      "The key of that account, as file:PATH; in the environment or the configuration file also "
        + "the key itself, as the authority gave it.",
      valueName: "file:PATH"
    )
  )
  var acmeEabKey: String?
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
      "The port of plain HTTP at the addresses of --listen, usually 80; -1 for none (-1).",
      valueName: "port"
    )
  )
  var httpPort: Int?
  @Option(help: .yesNo("Answer STUN (true)."))
  var stun: Bool?
  @Option(help: .yesNo("Relay packets (true)."))
  var derp: Bool?
  @Option(help: .yesNo("Try it out: without TLS at port 3340, with a key that is not kept."))
  var dev: Bool?
  @Option(
    help: ArgumentHelp(
      "What visitors find at /: a text (default), blank, or another address to go to.",
      valueName: "page"
    )
  )
  var home: String?
  @Option(
    help: ArgumentHelp(
      "How many connections are accepted a second; 0 for as many as come (0).",
      valueName: "n"
    )
  )
  var acceptConnectionLimit: Int?
  @Option(
    help: ArgumentHelp(
      "How many may come at once over that; 0 for as many as in a second (0).",
      valueName: "n"
    )
  )
  var acceptConnectionBurst: Int?
  @Option(
    help: ArgumentHelp("How many connections there may be at once (16384).", valueName: "n")
  )
  var connectionLimit: Int?
  @Option(help: .yesNo("Admit only those whom the node daemon on this machine knows."))
  var verifyClients: Bool?
  @Option(
    help: ArgumentHelp(
      "The socket of that daemon (/run/martlet/martletd.sock).",
      valueName: "path"
    )
  )
  var socket: String?
  @Option(
    help: ArgumentHelp(
      "Admit only those whom this address allows; a coordination server answers at /verify.",
      valueName: "url"
    )
  )
  var verifyClientUrl: String?
  @Option(help: .yesNo("Admit clients while nobody answers at that address (true)."))
  var verifyClientUrlFailOpen: Bool?
  @Option(
    help: ArgumentHelp(
      "A JSON file with what one client may send: PerClientRateLimitBytesPerSec and "
        + "PerClientRateBurstBytes; read again on SIGHUP.",
      valueName: "file"
    )
  )
  var rateConfig: String?
  @Option(
    help: ArgumentHelp(
      "How long a client may take no bytes before it is cut off; 0s for ever (2s).",
      valueName: "duration"
    )
  )
  var tcpWriteTimeout: String?
  @Option(
    help: ArgumentHelp(
      "How long a connection is silent before the kernel asks whether it lives (10m).",
      valueName: "duration"
    )
  )
  var tcpKeepaliveTime: String?
  @Option(
    help: ArgumentHelp(
      "How long sent data may stay unacknowledged before the kernel gives up (15s).",
      valueName: "duration"
    )
  )
  var tcpUserTimeout: String?
  @Option(
    help: ArgumentHelp(
      "From where /debug/ and /metrics are answered besides this machine and the overlay, with commas.",
      valueName: "prefixes"
    ),
    transform: settingValue
  )
  var debugFrom: [String]?
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
        + "name:port/address to connect elsewhere; =sha256-raw:HASH after one whose certificate is "
        + "its own, as it prints it.",
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
