// SPDX-License-Identifier: Apache-2.0

import Addressing
import CommandLine
import LocalAPI

extension Setting {
  /// Every setting, in the order of names.
  static let all: [Setting] = (served + unserved).sorted { $0.name < $1.name }

  /// The settings of `up`.
  static let ofUp = all.filter { !$0.isSetOnly }
  /// The settings of `set`.
  static let ofSet = all.filter { $0.name != "login-server" }

  private static let served: [Setting] = [
    Setting("login-server", .controlURL, at: \.controlURL) { $0.server.loginServer },
    Setting(switch: "accept-routes", .routeAll, at: \.routeAll) { $0.common.acceptRoutes },
    Setting(switch: "shields-up", .shieldsUp, at: \.shieldsUp) { $0.common.shieldsUp },
    Setting("hostname", .hostname, at: \.hostname) { $0.common.hostname },
    Setting("operator", .operatorUser, at: \.operatorUser) { $0.common.operatorUser },
    Setting("nickname", .profileName, setOnly: true, at: \.profileName) { $0.more.nickname },
    Setting(
      "advertise-tags",
      .advertiseTags,
      given: { $0.common.advertiseTags },
      text: { ($0.advertiseTags ?? []).joined(separator: ",") },
      put: { text, preferences in
        let tags = parts(text).map { $0.hasPrefix("tag:") ? $0 : "tag:" + $0 }
        preferences.advertiseTags = tags.isEmpty ? nil : tags
        return true
      }
    ),
    Setting(
      "relay-server-port",
      .relayServerPort,
      setOnly: true,
      given: { $0.more.relayServerPort },
      text: { $0.relayServerPort.map { String($0) } ?? "" },
      put: { text, preferences in
        preferences.relayServerPort = UInt16(text)
        return text.isEmpty || preferences.relayServerPort != nil
      }
    ),
    Setting(
      "relay-server-static-endpoints",
      .relayServerStaticEndpoints,
      setOnly: true,
      given: { $0.more.relayServerStaticEndpoints },
      text: { $0.relayServerStaticEndpoints.map(\.description).joined(separator: ",") },
      put: { text, preferences in
        let endpoints = parts(text).map { Endpoint($0) }
        preferences.relayServerStaticEndpoints = endpoints.compactMap(\.self)
        return endpoints.allSatisfy { $0 != nil && $0?.port != 0 }
      }
    ),
  ]

  private static let unserved: [Setting] = [
    Setting(switch: "accept-dns", .corpDNS, at: \.corpDNS) { $0.common.acceptDNS },
    Setting(switch: "ssh", .runSSH, at: \.runSSH) { $0.common.ssh },
    Setting(
      switch: "exit-node-allow-lan-access",
      .exitNodeAllowLANAccess,
      at: \.exitNodeAllowLANAccess
    ) { $0.common.exitNodeAllowLANAccess },
    Setting(switch: "report-posture", .postureChecking, at: \.postureChecking) {
      $0.common.reportPosture
    },
    Setting(switch: "advertise-connector", .appConnector, at: \.appConnector.advertise) {
      $0.common.advertiseConnector
    },
    Setting(
      switch: "snat-subnet-routes",
      .noSNAT,
      given: { $0.common.sourceNAT },
      isOn: { !$0.noSNAT },
      turn: { $1.noSNAT = !$0 }
    ),
    Setting(
      switch: "stateful-filtering",
      .noStatefulFiltering,
      given: { $0.common.statefulFiltering },
      isOn: { $0.noStatefulFiltering == false },
      turn: { $1.noStatefulFiltering = !$0 }
    ),
    Setting(
      "netfilter-mode",
      .netfilterMode,
      given: { $0.common.netfilterMode },
      text: { ["off", "nodivert", "on"].dropFirst($0.netfilterMode).first ?? "" },
      put: { text, preferences in
        guard let mode = ["off", "nodivert", "on"].firstIndex(of: text) else { return false }
        preferences.netfilterMode = mode
        return true
      }
    ),
    Setting(
      "exit-node",
      .exitNodeID,
      .exitNodeIP,
      .autoExitNode,
      given: { $0.common.exitNode },
      text: { preferences in
        preferences.autoExitNode.isEmpty
          ? preferences.exitNodeIP?.description ?? preferences.exitNodeID
          : "auto:" + preferences.autoExitNode
      },
      put: { text, preferences in
        preferences.exitNodeIP = IPAddress(text)
        preferences.autoExitNode = text.hasPrefix("auto:") ? String(text.dropFirst(5)) : ""
        let isID = preferences.exitNodeIP == nil && preferences.autoExitNode.isEmpty
        preferences.exitNodeID = isID ? text : ""
        return true
      }
    ),
    Setting(
      "advertise-routes",
      .advertiseRoutes,
      given: { $0.common.advertiseRoutes },
      text: { preferences in
        (preferences.advertiseRoutes ?? []).filter { $0.length > 0 }.map(\.description)
          .joined(separator: ",")
      },
      put: { text, preferences in
        let routes = parts(text).map { IPPrefix($0) }
        guard routes.allSatisfy({ $0 != nil }) else { return false }
        let defaults = (preferences.advertiseRoutes ?? []).filter { $0.length == 0 }
        preferences.advertiseRoutes = nilIfEmpty(routes.compactMap { $0 } + defaults)
        return true
      }
    ),
    Setting(
      switch: "advertise-exit-node",
      .advertiseRoutes,
      given: { $0.common.advertiseExitNode },
      isOn: { ($0.advertiseRoutes ?? []).contains { $0.length == 0 } },
      turn: { isOn, preferences in
        let routes = (preferences.advertiseRoutes ?? []).filter { $0.length > 0 }
        let defaults = [IPPrefix.everything(.v4), IPPrefix.everything(.v6)]
        preferences.advertiseRoutes = nilIfEmpty(routes + (isOn ? defaults : []))
      }
    ),
    Setting(
      switch: "update-check",
      .autoUpdate,
      setOnly: true,
      at: \.autoUpdate.check
    ) { $0.more.updateCheck },
    Setting(
      switch: "auto-update",
      .autoUpdate,
      setOnly: true,
      given: { $0.more.autoUpdate },
      isOn: { $0.autoUpdate.apply == true },
      turn: { $1.autoUpdate.apply = $0 }
    ),
    Setting(switch: "webclient", .runWebClient, setOnly: true, at: \.runWebClient) {
      $0.more.webclient
    },
  ]

  /// The parts of a list with commas.
  private static func parts(_ text: String) -> [String] { [String](settingText: text) ?? [] }

  private static func nilIfEmpty(_ routes: [IPPrefix]) -> [IPPrefix]? {
    routes.isEmpty ? nil : routes
  }
}

extension GivenSettings {
  /// The settings of `known` that were given.
  func names(among known: [Setting]) -> [Setting] { known.filter { $0.given(self) != nil } }

  /// Puts what was given into preferences.
  ///
  /// - Throws: `CommandError` that names the flag whose value cannot be, or is not served.
  func put(_ known: [Setting], into preferences: inout Preferences) throws(CommandError) {
    for setting in known {
      guard let text = setting.given(self) else { continue }
      guard setting.put(text, &preferences) else {
        throw .usage("invalid value \"\(text)\" for flag --\(setting.name)")
      }
      if let objection = setting.objection(to: text) { throw CommandError(objection) }
    }
  }
}
