// SPDX-License-Identifier: Apache-2.0

import Addressing
import DataPlaneDriver
import HostConfiguration
import HostIO
import HostSettings
import Keys
import LocalAPI
import Logging
import Netmap
import NodeConfiguration
import PacketFilter
import PacketPipeline
import Timing

extension NodeBackend {
  /// Has the configuration made true soon; changes that come meanwhile are taken in one go.
  func scheduleReconfigure() {
    needsReconfiguring = true
    guard !isReconfiguring else { return }
    isReconfiguring = true
    Task { await self.reconfigureWhileNeeded() }
  }

  private func reconfigureWhileNeeded() async {
    while needsReconfiguring {
      needsReconfiguring = false
      await reconfigure()
    }
    isReconfiguring = false
  }

  /// Works out what should be true now and has it made so.
  func reconfigure() async {
    let configuration = configuration(at: wallClock())
    for problem in configuration.filterProblems {
      logger.warning("a rule of the packet filter is left out", metadata: ["what": "\(problem)"])
    }
    let leftOut = LeftOut(
      peers: configuration.pipeline.peers.count,
      of: ToldConfiguration.peersMaximum,
      rules: configuration.pipeline.filter.rulesLeftOut
    )
    if let text = leftOut.text { warn(.mapTooLarge, text) } else { clear(.mapTooLarge) }
    await plane.apply(configuration.pipeline)
    applyRouter(configuration.router)
  }

  /// What follows from netmap, preferences and host.
  func configuration(at now: Timestamp) -> NodeConfiguration {
    let ground = NodeConfiguration.Ground(
      nodeKey: nodeKey ?? idleKey,
      interfaceName: plane.interfaceName,
      mtu: options.mtu,
      host: options.ground,
      isControlConnected: isControlConnected
    )
    guard let netmap, netmap.selfNode != nil, preferences.wantRunning, !preferences.loggedOut,
      backendState != .needsLogin, backendState != .needsMachineAuth
    else { return .idle(on: ground) }
    return .compile(netmap, preferences, on: ground, at: netmap.serverTime(at: now))
  }

  private func applyRouter(_ settings: RouterSettings) {
    guard settings != appliedRouter else { return }
    do {
      let report = try router.apply(settings)
      appliedRouter = settings
      if isGroundDisturbed, report.changes > 0 {
        logger.notice("others removed routes, rules or addresses of this node; they are set again")
      }
      isGroundDisturbed = false
      if let reason = report.ipv6Unavailable,
        settings.addresses.contains(where: { !$0.address.isV4 })
      {
        logger.notice("IPv6 is left out", metadata: ["why": "\(reason)"])
      }
      guard !report.problems.isEmpty else { return clear(.router) }
      throw NodeError(.host, report.problems.map(\.description).joined(separator: "; "))
    } catch {
      logger.error("addresses or routes", metadata: ["why": "\(error)"])
      warn(.router, "Addresses or routes could not be set: \(error)")
    }
  }

  /// Looks again when the next key in the netmap runs out.
  func noteExpiry(of map: NetworkMap) {
    expiryTimer?.cancel()
    let now = wallClock()
    guard let next = map.nextKeyExpiry(after: now) else { return }
    // The clock may be set meanwhile, so it is looked at once an hour at least.
    let wait = min(next - now, .seconds(3600))
    expiryTimer = Task { [weak self] in
      do { try await Task.sleep(for: wait + .milliseconds(100)) } catch { return }
      await self?.keysMayHaveRunOut()
    }
  }

  private func keysMayHaveRunOut() {
    guard let netmap else { return }
    updateState()
    scheduleReconfigure()
    noteExpiry(of: netmap)
  }
}
