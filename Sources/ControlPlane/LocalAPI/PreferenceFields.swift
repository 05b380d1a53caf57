// SPDX-License-Identifier: Apache-2.0

extension Preferences {
  package static let fields = LocalFields(
    PreferenceKey.allCases.map(\.field) + [LocalField("Config", \.config)]
  )
}

extension PreferenceKey {
  /// How this preference is read, written, copied and compared.
  package var field: LocalField<Preferences> {
    switch self {
    case .controlURL: LocalField(rawValue, \.controlURL)
    case .routeAll: LocalField(rawValue, \.routeAll)
    case .exitNodeID: LocalField(rawValue, \.exitNodeID)
    case .exitNodeIP: LocalField(rawValue, text: \.exitNodeIP)
    case .autoExitNode: LocalField(rawValue, \.autoExitNode, omittedWhenZero: true)
    case .internalExitNodePrior: LocalField(rawValue, \.internalExitNodePrior)
    case .exitNodeAllowLANAccess: LocalField(rawValue, \.exitNodeAllowLANAccess)
    case .corpDNS: LocalField(rawValue, \.corpDNS)
    case .runSSH: LocalField(rawValue, \.runSSH)
    case .runWebClient: LocalField(rawValue, \.runWebClient)
    case .wantRunning: LocalField(rawValue, \.wantRunning)
    case .loggedOut: LocalField(rawValue, \.loggedOut)
    case .shieldsUp: LocalField(rawValue, \.shieldsUp)
    case .advertiseTags: LocalField(rawValue, \.advertiseTags)
    case .hostname: LocalField(rawValue, \.hostname)
    case .notepadURLs: LocalField(rawValue, \.notepadURLs)
    case .forceDaemon: LocalField(rawValue, \.forceDaemon, omittedWhenZero: true)
    case .egg: LocalField(rawValue, \.egg, omittedWhenZero: true)
    case .advertiseRoutes: LocalField(rawValue, \.advertiseRoutes)
    case .advertiseServices: LocalField(rawValue, \.advertiseServices)
    case .sync: LocalField(rawValue, \.sync)
    case .noSNAT: LocalField(rawValue, \.noSNAT)
    case .noStatefulFiltering:
      LocalField(rawValue, \.noStatefulFiltering, omittedWhenZero: true)
    case .netfilterMode: LocalField(rawValue, \.netfilterMode)
    case .operatorUser: LocalField(rawValue, \.operatorUser, omittedWhenZero: true)
    case .profileName: LocalField(rawValue, \.profileName, omittedWhenZero: true)
    case .autoUpdate: LocalField(rawValue, \.autoUpdate)
    case .appConnector: LocalField(rawValue, \.appConnector)
    case .postureChecking: LocalField(rawValue, \.postureChecking)
    case .netfilterKind: LocalField(rawValue, \.netfilterKind)
    case .remoteConfig: LocalField(rawValue, \.remoteConfig)
    case .driveShares: LocalField(rawValue, \.driveShares)
    case .relayServerPort: LocalField(rawValue, \.relayServerPort, omittedWhenZero: true)
    case .relayServerStaticEndpoints:
      LocalField(rawValue, \.relayServerStaticEndpoints, omittedWhenZero: true)
    }
  }
}
