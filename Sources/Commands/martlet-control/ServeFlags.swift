// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLine
import Logging

/// The flags of `serve`; those that were not given are nil.
struct ServeFlags: ParsableArguments {
  @Option(
    help: ArgumentHelp("The configuration file (/etc/martlet/control.json).", valueName: "file")
  )
  var config: String?
  @Option(
    help: ArgumentHelp(
      "Where machines connect, several with commas between them (0.0.0.0:8080).",
      valueName: "address:port"
    ),
    transform: settingValue
  )
  var listen: [String]?
  @Option(
    help: ArgumentHelp(
      "Where Prometheus may fetch /metrics, several with commas between them (nowhere).",
      valueName: "address:port"
    ),
    transform: settingValue
  )
  var metricsListen: [String]?
  @Option(
    help: ArgumentHelp(
      "The address that clients are told: http://203.0.113.1:8080; required.",
      valueName: "url"
    )
  )
  var url: String?
  @Option(
    help: ArgumentHelp(
      "The directory that holds everything (/var/lib/martlet/control).",
      valueName: "directory"
    )
  )
  var state: String?
  @Option(
    help: ArgumentHelp(
      "A certificate chain in PEM; without one the server speaks plain HTTP.",
      valueName: "file"
    )
  )
  var tlsCert: String?
  @Option(help: ArgumentHelp("The private key of the certificate, in PEM.", valueName: "file"))
  var tlsKey: String?
  @Option(
    name: .customLong("ipv4-prefix"),
    help: ArgumentHelp(
      "Where nodes get their IPv4 addresses from (100.64.0.0/10).",
      valueName: "prefix"
    )
  )
  var ipv4Prefix: String?
  @Option(
    name: .customLong("ipv6-prefix"),
    help: ArgumentHelp(
      "Where nodes get their IPv6 addresses from (fd7a:115c:a1e0::/48).",
      valueName: "prefix"
    )
  )
  var ipv6Prefix: String?
  @Option(
    help: ArgumentHelp(
      "The domain below which nodes have their names (tailnet.internal).",
      valueName: "name"
    )
  )
  var domain: String?
  @Option(
    help: ArgumentHelp(
      "How long a user's node may stay before it must log in again; 0 for ever (0).",
      valueName: "duration"
    ),
    transform: settingValue
  )
  var nodeExpiry: Duration?
  @Option(
    help: ArgumentHelp(
      "How long an ephemeral node may be away before it is forgotten (30m).",
      valueName: "duration"
    ),
    transform: settingValue
  )
  var ephemeralTimeout: Duration?
  @Option(
    help: .yesNo(
      "Let new nodes talk to others only after 'nodes approve', or by keys that approve."
    )
  )
  var nodeApproval: Bool?
  @Option(
    help: ArgumentHelp(
      "How long a credential of the API works that nobody uses; 0 for ever (30d).",
      valueName: "duration"
    ),
    transform: settingValue
  )
  var apiKeyIdle: Duration?
  @Option(
    help: ArgumentHelp(
      "How often routers that share a subnet are asked whether they live; 0 for never (10s).",
      valueName: "duration"
    ),
    transform: settingValue
  )
  var routerProbe: Duration?
  @Option(
    help: .yesNo("Let nodes answer for the names of the network themselves (true).")
  )
  var dnsMagicDNS: Bool?
  @Option(
    help: ArgumentHelp(
      "Who resolves other names, several with commas between them: 192.0.2.53,https://dns.example.",
      valueName: "resolvers"
    ),
    transform: settingValue
  )
  var dnsNameserversGlobal: [String]?
  @Option(
    help: ArgumentHelp(
      "Who resolves the names below domains: corp.example=10.0.0.53,corp.example=10.0.0.54.",
      valueName: "domain=resolver"
    ),
    transform: settingValue
  )
  var dnsNameserversSplit: [String]?
  @Option(
    help: .yesNo("Ask these instead of the resolvers of a node's own host (true).")
  )
  var dnsOverrideLocalDNS: Bool?
  @Option(
    help: ArgumentHelp("Domains that are tried behind a name.", valueName: "domains"),
    transform: settingValue
  )
  var dnsSearchDomains: [String]?
  @Option(
    help: ArgumentHelp(
      "A file with more names, watched: [{\"name\": \"a.example\", \"type\": \"A\", \"value\": \"100.64.0.3\"}].",
      valueName: "file"
    )
  )
  var dnsExtraRecordsPath: String?
  @Option(
    help: ArgumentHelp(
      "The identity provider by which people let their machines in (OpenID Connect); what else there "
        + "is to say of it stands in the configuration file.",
      valueName: "url"
    )
  )
  var oidcIssuer: String?
  @Option(help: ArgumentHelp("What the identity provider calls this server.", valueName: "id"))
  var oidcClientID: String?
  @Option(
    name: .customLong("oidc-client-secret-path"),
    help: ArgumentHelp(
      "A file with what the server proves itself by to the identity provider.",
      valueName: "file"
    )
  )
  var oidcSecretPath: String?
  @Option(help: .yesNo("Run a relay too."))
  var derp: Bool?
  @Option(help: ArgumentHelp("The TCP port of the relay (8443).", valueName: "port"))
  var derpPort: UInt16?
  @Option(
    help: ArgumentHelp(
      "The UDP port at which the relay tells nodes their addresses (3478).",
      valueName: "port"
    )
  )
  var stunPort: UInt16?
  @Option(
    help: ArgumentHelp(
      "The name under which nodes reach the relay; by default the host of --url.",
      valueName: "name"
    )
  )
  var derpHostname: String?
  @Option(
    name: .customLong("derp-ip"),
    help: ArgumentHelp(
      "The address under which nodes reach the relay, where names are not to be asked.",
      valueName: "address"
    )
  )
  var derpIP: String?
  @Option(
    help: ArgumentHelp("The number of the relay's region, from 900 to 999 (900).", valueName: "n")
  )
  var derpRegion: Int?
  @Option(
    help: ArgumentHelp(
      "A certificate chain in PEM for the relay; by default it makes its own and nodes are told it.",
      valueName: "file"
    )
  )
  var derpCert: String?
  @Option(
    help: ArgumentHelp("The private key of the relay's certificate, in PEM.", valueName: "file")
  )
  var derpKey: String?
  @Option(
    help: ArgumentHelp("A file with a relay map as JSON, for relays elsewhere.", valueName: "file")
  )
  var derpMap: String?
  @Option(
    help: ArgumentHelp(
      "A file with the policy to put in force at start; by default the stored one stays.",
      valueName: "file"
    )
  )
  var policy: String?
  @Option(
    help: ArgumentHelp(
      "How much to log: trace, debug, info, notice, warning or error (info).",
      valueName: "level"
    ),
    transform: settingValue
  )
  var logLevel: Logger.Level?
}
