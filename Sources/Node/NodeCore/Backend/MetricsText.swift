// SPDX-License-Identifier: Apache-2.0

import Addressing
import Cryptography
import DERP
import DataPlaneDriver
import Magicsock
import PacketPipeline
import PeerRelay

/// Writes counters as Prometheus text (exposition format 0.0.4).
struct MetricsText {
  /// How a metric behaves.
  enum Kind: String {
    case counter, gauge
  }

  private(set) var text = ""

  /// Begins a metric.
  mutating func begin(_ name: String, _ kind: Kind, help: String) {
    text += "# HELP \(name) \(help)\n# TYPE \(name) \(kind.rawValue)\n"
  }

  /// Adds a number to the metric begun last.
  mutating func add(_ name: String, label: (name: String, value: String)? = nil, _ value: UInt64) {
    add(name, labels: label.map { [$0] } ?? [], value)
  }

  /// Adds a number with several labels to the metric begun last.
  mutating func add(_ name: String, labels: [(name: String, value: String)], _ value: UInt64) {
    let texts = labels.map { "\($0.name)=\"\($0.value)\"" }.joined(separator: ",")
    text += "\(name)\(labels.isEmpty ? "" : "{\(texts)}") \(value)\n"
  }
}

extension NodeBackend {
  /// The counters that users are promised, as Prometheus text.
  package func userMetrics() async -> String {
    var metrics = MetricsText()
    if let status = await plane.status() {
      Self.write(status.pipeline.counters, to: &metrics)
      Self.write(status.host, to: &metrics)
    }
    if let relay = await plane.peerRelayStatus() { Self.write(relay, to: &metrics) }
    metrics.begin("tailscaled_health_messages", .gauge, help: "Number of warnings about this node.")
    metrics.add(
      "tailscaled_health_messages",
      label: ("type", "warning"),
      UInt64(health.texts.count)
    )
    metrics.begin("tailscaled_home_derp_region_id", .gauge, help: "The region of the home relay.")
    metrics.add("tailscaled_home_derp_region_id", UInt64(max(0, homeRegion?.rawValue ?? 0)))
    return metrics.text
  }

  /// All counters, as Prometheus text.
  package func clientMetrics() async -> String {
    var metrics = MetricsText()
    guard let status = await plane.status() else { return "" }
    Self.write(status.pipeline.counters, to: &metrics)
    Self.write(status.host, to: &metrics)
    metrics.begin("martlet_packet_cipher", .gauge, help: "What packets are sealed with.")
    metrics.add("martlet_packet_cipher", label: ("backend", status.backend.rawValue), 1)
    for (name, value) in status.pipeline.pathCounters.named {
      metrics.begin("magicsock_\(name)", .counter, help: "Path finding.")
      metrics.add("magicsock_\(name)", value)
    }
    return metrics.text
  }

  /// What this node carried for others.
  private static func write(_ relay: PeerRelayStatus, to metrics: inout MetricsText) {
    func name(_ family: IPAddress.Family) -> String { family == .v4 ? "udp4" : "udp6" }
    let kinds: [(String, KeyPath<PeerRelayCounters.Volume, UInt64>)] = [
      ("bytes", \.bytes), ("packets", \.packets),
    ]
    for (what, value) in kinds {
      let full = "tailscaled_peer_relay_forwarded_\(what)_total"
      metrics.begin(full, .counter, help: "Counts \(what) carried between peers.")
      for volume in relay.counters.volumes {
        let labels = [
          (name: "transport_in", value: name(volume.from)),
          (name: "transport_out", value: name(volume.to)),
        ]
        metrics.add(full, labels: labels, volume[keyPath: value])
      }
    }
    let drops = [
      ("no_session", relay.counters.unbound), ("stranger", relay.counters.strangers),
      ("not_authentic", relay.counters.notAuthentic), ("unproven", relay.counters.unproven),
      ("not_sent", relay.counters.notSent), ("malformed", relay.counters.malformed),
    ]
    let dropped = "martlet_peer_relay_dropped_packets_total"
    metrics.begin(dropped, .counter, help: "Counts packets that were not carried between peers.")
    for (reason, count) in drops { metrics.add(dropped, label: ("reason", reason), count) }
    let open = relay.sessions.count(where: \.isOpen)
    let full = "tailscaled_peer_relay_endpoints"
    metrics.begin(full, .gauge, help: "Pairs of peers that this node carries packets for.")
    metrics.add(full, label: ("state", "connecting"), UInt64(relay.sessions.count - open))
    metrics.add(full, label: ("state", "open"), UInt64(open))
  }

  /// What tells whether the data path sleeps while nothing happens, and which offloads the host refused.
  private static func write(_ counters: HostCounters, to metrics: inout MetricsText) {
    let numbers = [
      ("wakeups", "How often a data thread woke.", counters.wakeUps),
      (
        "refused_trains", "Super-packets that the TUN interface did not take joined.",
        counters.trainsRefused
      ),
      (
        "helped_parts", "Parts of trains that helpers sealed and opened.",
        counters.partsHelped
      ),
    ]
    for (name, help, value) in numbers {
      let full = "martlet_data_plane_\(name)_total"
      metrics.begin(full, .counter, help: help)
      metrics.add(full, value)
    }
  }

  private static func write(_ counters: Counters, to metrics: inout MetricsText) {
    var begun = ""
    for sample in counters.samples {
      if sample.name != begun {
        let what = sample.name.dropFirst("tailscaled_".count).split(separator: "_")
          .prefix { $0 != "total" }.joined(separator: " ")
        metrics.begin(sample.name, .counter, help: "Counts \(what).")
        begun = sample.name
      }
      metrics.add(sample.name, label: sample.label, sample.value)
    }
  }
}

extension PathCounters {
  /// Every counter with its name.
  fileprivate var named: [(String, UInt64)] {
    [
      ("disco_sent_ping", pingsSent), ("disco_sent_pong", pongsSent),
      ("disco_recv_pong", pongsReceived), ("disco_sent_callmemaybe", callsSent),
      ("disco_recv_callmemaybe", callsReceived), ("disco_unknown_sender", unknownSender),
      ("disco_not_authentic", notAuthentic), ("disco_malformed", malformed),
      ("disco_duplicate_ping", duplicatePings), ("disco_stale_pong", stalePongs),
      ("disco_misrouted_call", misroutedCalls), ("disco_excess_call", excessCalls),
      ("disco_unsupported", unsupported), ("stun_stray", strayResponses),
      ("excess_candidates", excessCandidates), ("excess_pings", excessPings),
      ("send_no_path", unroutable), ("send_too_large_for_path", tooLargeForPath),
      ("relay_requests_sent", relayRequestsSent),
      ("relay_requests_refused", relayRequestsRefused), ("relay_calls_sent", relayCallsSent),
      ("relay_calls_received", relayCallsReceived), ("relay_paths_found", relayPathsFound),
      ("relay_stray_allocations", strayAllocations),
    ]
  }
}
