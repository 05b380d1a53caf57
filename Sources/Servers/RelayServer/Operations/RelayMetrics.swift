// SPDX-License-Identifier: Apache-2.0

import DERP
import HTTPTransport

extension RelayServer {
  /// Everything that is measured: under the names of the original where it has the same, and what
  /// operators miss besides under names of ours.
  var metrics: [MetricFamily] {
    let (counters, population) = (core.counters, core.switchboard.population)
    return original(counters, population) + drops(counters.dropped) + transport
      + ours(counters, population) + ProcessMeasures.now.families
  }

  private func original(
    _ counters: RelayCounters,
    _ population: RelayPopulation
  ) -> [MetricFamily] {
    let bulk = counters.packetsReceived - counters.discoPacketsReceived
    let limit = core.rateLimit
    func derp(_ name: String, _ help: String, _ value: Int) -> MetricFamily {
      MetricFamily(in: "derp", name, help, value)
    }
    return [
      derp("accepts", "Clients that were admitted.", counters.accepts),
      derp("bytes_received", "Bytes of packets that came.", counters.bytesReceived),
      derp("bytes_sent", "Bytes of packets that were handed on.", counters.bytesSent),
      derp("packets_received", "Packets that came.", counters.packetsReceived),
      derp("packets_sent", "Packets that were handed on.", counters.packetsSent),
      MetricFamily(
        in: "derp",
        "counter_packets_received_kind",
        "Packets that came, by kind.",
        by: "kind",
        [("disco", counters.discoPacketsReceived), ("other", bulk)]
      ),
      derp("packets_forwarded_in", "Packets from the mesh.", counters.forwardedIn),
      derp("packets_forwarded_out", "Packets to the mesh.", counters.forwardedOut),
      derp(
        "multiforwarder_created",
        "Keys that came to be reachable over several relays.",
        counters.severalForwarders
      ),
      derp("unknown_frames", "Frames that nobody knows.", counters.unknownFrames),
      derp("home_moves_in", "Clients that made this their home.", counters.homeMovesIn),
      derp("home_moves_out", "Clients that made another their home.", counters.homeMovesOut),
      derp("got_ping", "Pings that came.", counters.pings),
      derp("sent_pong", "Pongs that were sent.", counters.pongs),
      derp(
        "peer_gone_disconnected_frames",
        "Clients that were told that another has left.",
        counters.peerGoneDisconnected
      ),
      derp(
        "peer_gone_not_here_frames",
        "Clients that were told that another is not here.",
        counters.peerGoneNotHere
      ),
      derp(
        "peer_lookup_cache_misses",
        "Look-ups that took the lock of the table.",
        counters.peerLookupCacheMisses
      ),
      derp("sclient_write_timeouts", "Clients that stopped reading.", facts.writeTimeouts.count),
      derp("counter_total_dup_client_conns", "Connections of keys here.", counters.duplicates),
      derp("gauge_watchers", "Relays of the mesh that are told of clients.", population.watchers),
      derp("gauge_current_connections", "Connections of clients.", population.connections),
      derp("gauge_current_home_connections", "Those at their home.", counters.homeClients),
      derp("gauge_current_notideal_connections", "Those elsewhere.", population.notIdeal),
      derp(
        "gauge_clients_total",
        "Keys here and in the mesh.",
        population.localKeys + population.remoteKeys
      ),
      derp("gauge_clients_local", "Keys that are here.", population.localKeys),
      derp("gauge_clients_remote", "Keys in the mesh only.", population.remoteKeys),
      derp("gauge_current_dup_client_keys", "Keys twice here.", population.duplicateKeys.count),
      derp("gauge_current_dup_client_conns", "Their connections.", population.duplicateConnections),
      MetricFamily(
        in: "derp",
        "gauge_average_queue_duration_ms",
        "How long packets waited lately.",
        [MetricFamily.Sample(value: facts.averageDelayMilliseconds)]
      ),
      derp(
        "gauge_rate_limit_per_client_bytes_per_second",
        "What a client may send a second; 0 for as much as it likes.",
        limit?.bytesPerSecond ?? 0
      ),
      derp(
        "gauge_rate_limit_per_client_burst_bytes",
        "What it may send at once over that.",
        limit?.burst ?? 0
      ),
      derp("rate_limit_per_client_waited", "Clients made to wait.", counters.rateLimitWaits),
    ]
  }

  private func drops(_ drops: RelayDrops) -> [MetricFamily] {
    var packets: [MetricFamily.Sample] = []
    var bytes: [MetricFamily.Sample] = []
    for reason in RelayDrops.Reason.allCases {
      for (kind, isDisco) in [("disco", true), ("other", false)] {
        let labels = [(name: "reason", value: reason.label), (name: "kind", value: kind)]
        let lost = drops.packets(for: reason, isDisco: isDisco)
        packets.append(MetricFamily.Sample(labels: labels, value: Double(lost)))
        let size = drops.bytes(for: reason, isDisco: isDisco)
        bytes.append(MetricFamily.Sample(labels: labels, value: Double(size)))
      }
    }
    return [
      MetricFamily(
        in: nil,
        "derp_packets_dropped",
        "Packets dropped, by reason and kind.",
        packets
      ),
      MetricFamily(in: nil, "derp_bytes_dropped", "Bytes dropped, by reason and kind.", bytes),
    ]
  }

  private var transport: [MetricFamily] {
    let tls = tlsHandshakes
    func byVersion(_ counts: [String: Int]) -> [(String, Int)] {
      counts.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }
    let accepted = tls.completed.values.reduce(0, +)
    return [
      MetricFamily(
        in: nil,
        "derp_websocket_accepts",
        "Connections that became a WebSocket.",
        facts.webSocketAccepts.count
      ),
      MetricFamily(
        in: nil,
        "derper_tls_request_version",
        "TLS connections, by version.",
        by: "version",
        byVersion(tls.completed)
      ),
      MetricFamily(
        in: nil,
        "gauge_derper_tls_active_version",
        "TLS connections that are open, by version.",
        by: "version",
        byVersion(tls.open)
      ),
      MetricFamily(
        in: "tls_listener",
        "counter_accepted_connections",
        "TLS connections that were accepted.",
        accepted + tls.failed
      ),
      MetricFamily(
        in: "tls_listener",
        "counter_rejected_connections",
        "Connections closed at once for a limit.",
        refusedConnections
      ),
      MetricFamily(
        in: "stun",
        "counter_requests",
        "Datagrams at the STUN port, by what became of them.",
        by: "disposition",
        [
          ("success", facts.stunOverIPv4.count + facts.stunOverIPv6.count),
          ("not_stun", facts.notSTUN.count),
        ]
      ),
      MetricFamily(
        in: "stun",
        "counter_addrfamily",
        "STUN requests, by family.",
        by: "family",
        [("ipv4", facts.stunOverIPv4.count), ("ipv6", facts.stunOverIPv6.count)]
      ),
      MetricFamily(
        "martlet_relay_tls_handshakes_total",
        .counter,
        "TLS handshakes, by how they ended.",
        [
          MetricFamily.Sample(labels: [("outcome", "success")], value: Double(accepted)),
          MetricFamily.Sample(labels: [("outcome", "failure")], value: Double(tls.failed)),
        ]
      ),
    ]
  }

  private func ours(
    _ counters: RelayCounters,
    _ population: RelayPopulation
  ) -> [MetricFamily] {
    func labelled(_ label: String, _ values: [(String, Int)]) -> [MetricFamily.Sample] {
      values.map { MetricFamily.Sample(labels: [(label, $0.0)], value: Double($0.1)) }
    }
    let versions = population.versions.sorted { $0.key < $1.key }.map { ("\($0.key)", $0.value) }
    return [
      MetricFamily(
        "martlet_build_info",
        .gauge,
        "The version of this relay.",
        labelled("version", [(options.version, 1)])
      ),
      MetricFamily(
        "martlet_relay_clients",
        .gauge,
        "Connections of clients, by the version of the protocol.",
        labelled("version", versions)
      ),
      MetricFamily(
        "martlet_relay_bytes_total",
        .counter,
        "Bytes of packets, by direction.",
        labelled("direction", [("in", counters.bytesReceived), ("out", counters.bytesSent)])
      ),
      MetricFamily(
        "martlet_relay_admissions_total",
        .counter,
        "Clients that others were asked about, by the outcome.",
        labelled(
          "outcome",
          [
            ("admitted", facts.verified.count), ("unasked", facts.unverified.count),
            ("refused", facts.refused.count),
          ]
        )
      ),
      MetricFamily(
        "martlet_relay_closed_total",
        .counter,
        "Clients that were closed, by the reason.",
        labelled(
          "reason",
          [("violation", counters.violations), ("stopped_reading", facts.writeTimeouts.count)]
        )
      ),
      MetricFamily(
        "martlet_relay_untold_departures_total",
        .counter,
        "Departures that a client was not told, for want of room.",
        [MetricFamily.Sample(value: Double(counters.forgottenDepartures))]
      ),
      MetricFamily(
        "martlet_relay_debug_refusals_total",
        .counter,
        "Requests for these pages from where they are not answered.",
        [MetricFamily.Sample(value: Double(facts.strangers.count))]
      ),
      Self.delays(counters.queueDelay),
    ]
  }

  private static func delays(_ delays: RelayDelays) -> MetricFamily {
    var (samples, sum) = ([MetricFamily.Sample](), 0)
    for (index, bound) in RelayDelays.boundsMicroseconds.enumerated() {
      sum += delays.counts.isEmpty ? 0 : delays.counts[index]
      samples.append(
        MetricFamily.Sample(
          suffix: "_bucket",
          labels: [("le", "\(Double(bound) / 1_000_000)")],
          value: Double(sum)
        )
      )
    }
    sum += delays.counts.last ?? 0
    samples += [
      MetricFamily.Sample(suffix: "_bucket", labels: [("le", "+Inf")], value: Double(sum)),
      MetricFamily.Sample(suffix: "_sum", value: Double(delays.totalMicroseconds) / 1_000_000),
      MetricFamily.Sample(suffix: "_count", value: Double(sum)),
    ]
    return MetricFamily(
      "martlet_relay_queue_delay_seconds",
      .histogram,
      "How long packets waited in the queue of their receiver.",
      samples
    )
  }
}

extension RelayDrops.Reason {
  /// What the original calls it; a full queue of ours loses its oldest.
  fileprivate var label: String {
    switch self {
    case .unknownDestination: "unknown_dest"
    case .unknownDestinationOnForward: "unknown_dest_on_fwd"
    case .goneDisconnected: "gone_disconnected"
    case .queueFull: "queue_head"
    case .duplicateClient: "dup_client"
    }
  }
}
