// SPDX-License-Identifier: Apache-2.0

import Addressing
import DataPlaneDriver
import HostSettings
package import LocalAPI
import Logging
import Netmap
import PortMapping
import PortMappingDriver

extension NodeBackend {
  /// Tells the port mapper by which gateway this host reaches the world.
  func attachPortMapper(_ facts: HostFacts) {
    let attachment = facts.gatewayV4(excluding: options.interfaceName).flatMap {
      GatewayAttachment(gateway: $0.gateway, own: $0.own)
    }
    portMapper.attach(to: attachment, port: plane.port)
  }

  /// Has a port mapped as long as this node is to be reached.
  func updatePortMapping() {
    portMapper.want(preferences.wantRunning && !preferences.loggedOut && netmap?.selfNode != nil)
  }

  /// Takes in what the port mapper tells.
  func handle(_ event: PortMapperEvent) {
    switch event {
    case .mapping(let mapping):
      plane.portMapped(to: mapping?.external)
      tellNews()
    case .services: tellNews()
    case .note(let note): log(note)
    }
  }

  private func log(_ note: PortMapperEffects.Note) {
    let text: String
    switch note {
    case .found(let service): text = "\(service.rawValue) answers"
    case .mapped(let mapping, let lifetime):
      let double = mapping.isBehindAnotherNAT ? ", behind another NAT" : ""
      text = "\(mapping.service.rawValue) maps \(mapping.external) for \(lifetime)\(double)"
    case .failed(let service, let reason): text = "\(service.rawValue) maps no port: \(reason)"
    case .forgotten(let service): text = "\(service.rawValue): the gateway forgot its mappings"
    case .expired(let mapping): text = "the mapping of \(mapping.external) ran out"
    }
    logger.info("port mapping", metadata: ["what": "\(text)"])
    portMappingEvents.append(text)
    if portMappingEvents.count > Self.maximumPortMappingEvents { portMappingEvents.removeFirst() }
  }

  /// How much of what the port mapper did is kept for people.
  private static let maximumPortMappingEvents = 12

  /// Looks at what the gateway offers, and tells it with what it forwards.
  package func portMappingReport() async -> PortMappingReport {
    var report = PortMappingReport()
    report.allowed = options.portMapping.map(\.rawValue).sorted()
    let services = await portMapper.look()
    (report.upnp, report.pmp, report.pcp) = (services.upnp, services.pmp, services.pcp)
    (report.gateway, report.own) = (portMapper.attachment?.gateway, portMapper.attachment?.own)
    if let found = portMapper.mapping {
      var mapping = PortMappingReport.Mapping()
      (mapping.service, mapping.endpoint) = (found.service.rawValue, found.external)
      (mapping.port, mapping.internalPort) = (found.external.port, found.internalPort)
      mapping.isDoubleNAT = found.isBehindAnotherNAT
      report.mapping = mapping
    }
    let counters = portMapper.counters
    report.dropped = [
      "from others than the gateway": Int64(clamping: counters.foreign),
      "not asked for": Int64(clamping: counters.unsolicited),
      "malformed": Int64(clamping: counters.malformed), "absurd": Int64(clamping: counters.absurd),
      "refused by the gateway": Int64(clamping: counters.refused),
      "announced too often": Int64(clamping: counters.excessAnnouncements),
      "devices too many": Int64(clamping: counters.excessDevices),
    ]
    report.events = portMappingEvents
    return report
  }
}
