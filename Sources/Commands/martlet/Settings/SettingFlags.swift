// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLine

/// The flags of `up` and `set` that stand for preferences; those that were not given are nil.
///
/// Flags of what this node does not serve yet are hidden: they are taken, so that preferences stored
/// by another program can be kept or turned off, and the daemon refuses by name what asks for more.
struct SettingFlags: ParsableArguments {
  @Option(help: .yesNo("Use the routes that peers advertise."))
  var acceptRoutes: Bool?
  @Option(help: .yesNo("Refuse connections from peers."))
  var shieldsUp: Bool?
  @Option(help: ArgumentHelp("The name of this machine in the network.", valueName: "name"))
  var hostname: String?
  @Option(
    help: ArgumentHelp("Tags to ask for at login, with commas between them.", valueName: "tags")
  )
  var advertiseTags: String?
  @Option(
    name: .customLong("operator"),
    help: ArgumentHelp("The user who may change settings besides root.", valueName: "user")
  )
  var operatorUser: String?

  @Option(name: .customLong("accept-dns"), help: .hiddenYesNo)
  var acceptDNS: Bool?
  @Option(help: .hidden)
  var exitNode: String?
  @Option(name: .customLong("exit-node-allow-lan-access"), help: .hiddenYesNo)
  var exitNodeAllowLANAccess: Bool?
  @Option(help: .hiddenYesNo)
  var ssh: Bool?
  @Option(help: .hidden)
  var advertiseRoutes: String?
  @Option(help: .hiddenYesNo)
  var advertiseExitNode: Bool?
  @Option(help: .hiddenYesNo)
  var advertiseConnector: Bool?
  @Option(help: .hiddenYesNo)
  var reportPosture: Bool?
  @Option(name: .customLong("snat-subnet-routes"), help: .hiddenYesNo)
  var sourceNAT: Bool?
  @Option(help: .hiddenYesNo)
  var statefulFiltering: Bool?
  @Option(help: .hidden)
  var netfilterMode: String?
}

/// The flag of `up`, `login` and `get` that names the server; `set` cannot change it.
struct ServerFlags: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The coordination server, such as https://control.example.org.",
      valueName: "url"
    )
  )
  var loginServer: String?
}

/// The flags that only `set` has.
struct MoreSettingFlags: ParsableArguments {
  @Option(help: ArgumentHelp("What you call this login.", valueName: "name"))
  var nickname: String?
  @Option(help: .hiddenYesNo)
  var updateCheck: Bool?
  @Option(help: .hiddenYesNo)
  var autoUpdate: Bool?
  @Option(help: .hiddenYesNo)
  var webclient: Bool?
  @Option(
    help: ArgumentHelp(
      "Carry packets between peers that cannot reach each other, on this UDP port; 0 for any, empty for no more.",
      valueName: "port"
    )
  )
  var relayServerPort: String?
  @Option(
    help: ArgumentHelp(
      "Where peers reach that port besides what this node finds out itself: ip:port, with commas between.",
      valueName: "ip:port,..."
    )
  )
  var relayServerStaticEndpoints: String?
}

extension ArgumentHelp {
  /// The help of a switch that is taken, and not shown.
  fileprivate static let hiddenYesNo: ArgumentHelp = {
    var help = ArgumentHelp.yesNo("")
    help.visibility = .hidden
    return help
  }()
}
