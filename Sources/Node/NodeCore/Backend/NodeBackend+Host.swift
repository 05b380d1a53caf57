// SPDX-License-Identifier: Apache-2.0

import Addressing
import ControlProtocol
import DERP
import DataPlaneDriver
import HostConfiguration
import HostIO
import HostSettings
import Keys
import LocalAPI
import Logging
import Magicsock
import Netmap
import NodeConfiguration
import PacketPipeline
import Packets
import PortMappingDriver
import Timing

extension NodeBackend {
  /// Takes in what the data plane tells.
  func handle(_ event: DataPlaneEvent) async {
    switch event {
    case .endpointsChanged(let endpoints):
      self.endpoints = endpoints
      tellNews()
    case .homeRelayChanged(let region):
      homeRegion = region
      tellNews()
      noteRelays()
    case .netcheckFinished(let report):
      netcheck = report
      portMapper.takeInterest()
      notePortal(report)
      tellNews()
    case .sessionEstablished:
      hasPeerAnswered = true
      updateState()
    case .relayUp(let region):
      liveRelays.insert(region)
      noteRelays()
      updateState()
    case .relayDown(let region, let reason):
      liveRelays.remove(region)
      noteRelays(because: reason)
    case .relayHealth(let region, let problem):
      if let problem {
        logger.warning("relay", metadata: ["region": "\(region)", "says": "\(problem)"])
      }
    case .rejected(let reject, let peer):
      logger.info(
        "a peer refuses our packets",
        metadata: ["peer": "\(peer.rawValue)", "why": "\(reject.reason)"]
      )
    case .peerRelayTrouble(let problem):
      guard let problem else { return clear(.peerRelay) }
      logger.error("peer relay", metadata: ["why": "\(problem)"])
      warn(.peerRelay, "Peers cannot use this node as a relay: \(problem).")
    case .pathTrace(let trace):
      logger.debug("path", metadata: ["what": "\(trace)"])
    case .interfaceLost(let error):
      logger.critical("the interface is gone", metadata: ["why": "\(error)"])
      warn(
        .router,
        "The interface \(options.interfaceName) was taken away: \(error). Restart martletd."
      )
    }
  }

  /// Sets or clears the warning about the home relay.
  private func noteRelays(because reason: String? = nil) {
    guard let homeRegion, preferences.wantRunning else { return clear(.relayUnreachable) }
    if liveRelays.contains(homeRegion) { return clear(.relayUnreachable) }
    guard let reason else { return }
    warn(
      .relayUnreachable,
      "The home relay (\(regionName(homeRegion))) is not reached: \(reason). "
        + "Peers without a direct path to this node cannot reach it."
    )
  }

  /// Sets or clears the warning about a portal; a look that told nothing leaves it.
  private func notePortal(_ report: Magicsock.NetcheckReport) {
    if report.captivePortal == true {
      warn(
        .captivePortal,
        "This network wants you to sign in before it lets you out: open any page in a browser and do "
          + "what it asks. The node looks again by itself."
      )
    } else if report.captivePortal == false || report.udp {
      clear(.captivePortal)
    }
  }

  func regionName(_ id: RegionID) -> String {
    netmap?.derpMap?.region(id.rawValue)?.regionCode ?? "\(id.rawValue)"
  }

  /// Takes in what changed on the host.
  func handle(_ change: LinkChange) async {
    if change.groundDisturbed {
      isGroundDisturbed = true
      appliedRouter = nil
      scheduleReconfigure()
    }
    guard change.networkChanged else { return }
    logger.notice("the network changed")
    attachPortMapper(change.facts)
    tellForwardingHints(change.facts)
    await plane.networkChanged(
      addresses: reachableAddresses(change.facts),
      isMajor: true,
      isUp: Self.isUp(change.facts, except: options.interfaceName)
    )
  }

  /// Tells the log how what this host forwards could cost less, once for each state of its networks.
  func tellForwardingHints(_ facts: HostFacts) {
    let hints = ForwardingHints(facts, except: options.interfaceName)
    guard hints != forwardingHints else { return }
    forwardingHints = hints
    for (interface, command) in hints.commands.sorted(by: { $0.key < $1.key }) {
      logger.notice(
        "packets that this host forwards between the tunnel and others would cost less",
        metadata: ["interface": "\(interface)", "after": "\(command)"]
      )
    }
  }

  func reachableAddresses(_ facts: HostFacts) -> [IPAddress] {
    facts.reachableAddresses(excluding: [options.interfaceName])
  }

  static func isUp(_ facts: HostFacts, except own: String) -> Bool {
    facts.interfaces.contains { $0.isUp && !$0.isLoopback && $0.name != own }
  }
}
