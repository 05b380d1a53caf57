// SPDX-License-Identifier: Apache-2.0

/// One preference, by the name it has in JSON.
///
/// The order is the order in which preferences are written.
package enum PreferenceKey: String, Hashable, Sendable, CaseIterable {
  case controlURL = "ControlURL"
  case routeAll = "RouteAll"
  case exitNodeID = "ExitNodeID"
  case exitNodeIP = "ExitNodeIP"
  case autoExitNode = "AutoExitNode"
  case internalExitNodePrior = "InternalExitNodePrior"
  case exitNodeAllowLANAccess = "ExitNodeAllowLANAccess"
  case corpDNS = "CorpDNS"
  case runSSH = "RunSSH"
  case runWebClient = "RunWebClient"
  case wantRunning = "WantRunning"
  case loggedOut = "LoggedOut"
  case shieldsUp = "ShieldsUp"
  case advertiseTags = "AdvertiseTags"
  case hostname = "Hostname"
  case notepadURLs = "NotepadURLs"
  case forceDaemon = "ForceDaemon"
  case egg = "Egg"
  case advertiseRoutes = "AdvertiseRoutes"
  case advertiseServices = "AdvertiseServices"
  case sync = "Sync"
  case noSNAT = "NoSNAT"
  case noStatefulFiltering = "NoStatefulFiltering"
  case netfilterMode = "NetfilterMode"
  case operatorUser = "OperatorUser"
  case profileName = "ProfileName"
  case autoUpdate = "AutoUpdate"
  case appConnector = "AppConnector"
  case postureChecking = "PostureChecking"
  case netfilterKind = "NetfilterKind"
  case remoteConfig = "RemoteConfig"
  case driveShares = "DriveShares"
  case relayServerPort = "RelayServerPort"
  case relayServerStaticEndpoints = "RelayServerStaticEndpoints"

  /// The name of the flag by which an edit says that it means this preference.
  package var maskName: String { rawValue + "Set" }
}
