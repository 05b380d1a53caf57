// SPDX-License-Identifier: Apache-2.0

package import Addressing
package import ControlProtocol
package import Keys

/// What a node tells the coordination server of itself, and the map requests that carry it.
///
/// - Source: `Documentation/Protocols/control.md`, network maps.
package struct NodeReport: Hashable, Sendable {
  /// The node's key.
  package var nodeKey: NodeKey
  /// The key of its discovery messages.
  package var discoKey: DiscoKey
  /// The host, with what the network looks like from it.
  package var hostinfo: Hostinfo
  /// Where the node may be reached.
  package var endpoints: [ReportedEndpoint]
  /// The head of the tailnet lock's chain; empty while it is off.
  package var tkaHead: String
  /// What is to be known about how the node runs.
  package var debugFlags: [String]

  /// A report with these facts.
  package init(
    nodeKey: NodeKey,
    discoKey: DiscoKey,
    hostinfo: Hostinfo,
    endpoints: [ReportedEndpoint] = [],
    tkaHead: String = "",
    debugFlags: [String] = []
  ) {
    (self.nodeKey, self.discoKey, self.hostinfo) = (nodeKey, discoKey, hostinfo)
    (self.endpoints, self.tkaHead, self.debugFlags) = (endpoints, tkaHead, debugFlags)
  }

  /// Asks for the map and for every change of it.
  ///
  /// - Parameters:
  ///   - compressed: Whether messages shall be zstd frames.
  ///   - resumption: Where an earlier stream stood; nil to be told everything.
  /// - Returns: The request; its answer is for a `MapPoll`.
  package func streamRequest(
    compressed: Bool = true,
    resuming resumption: MapResumption? = nil
  ) -> MapRequest {
    var request = request(compressed: compressed)
    request.stream = true
    request.mapSessionHandle = resumption?.handle ?? ""
    request.mapSessionSeq = resumption?.sequence ?? 0
    return request
  }

  /// Tells what is new, and wants no map; the body of the answer is of no interest.
  package func updateRequest() -> MapRequest {
    var request = request(compressed: true)
    request.omitPeers = true
    return request
  }

  /// Asks for the map once.
  package func fetchRequest(compressed: Bool = true) -> MapRequest {
    request(compressed: compressed)
  }

  /// Whether a server that knows `other` need not be told this.
  ///
  /// Latencies differ with every measurement, and the order of endpoints says nothing.
  package func saysTheSame(as other: NodeReport) -> Bool {
    settled == other.settled
  }

  private var settled: NodeReport {
    var report = self
    report.hostinfo.netInfo?.derpLatency = [:]
    report.endpoints.sort { ($0.endpoint, $0.kind.rawValue) < ($1.endpoint, $1.kind.rawValue) }
    return report
  }

  private func request(compressed: Bool) -> MapRequest {
    MapRequest(
      version: CapabilityVersion.current,
      compress: compressed ? "zstd" : "",
      keepAlive: true,
      nodeKey: nodeKey,
      discoKey: discoKey,
      hostinfo: hostinfo,
      endpoints: endpoints.map(\.endpoint),
      endpointTypes: endpoints.map(\.kind.rawValue),
      tkaHead: tkaHead,
      debugFlags: debugFlags
    )
  }
}

/// An endpoint of this node, and how it is known.
package struct ReportedEndpoint: Hashable, Sendable {
  /// The numbers that stand for how an endpoint is known.
  package enum Kind: Int, Hashable, Sendable {
    case unknown = 0
    case local = 1
    case stun = 2
    case portMapped = 3
    case stunWithLocalPort = 4
    case explicit = 5
  }

  /// Where.
  package var endpoint: Endpoint
  /// How it is known.
  package var kind: Kind

  /// The endpoint `endpoint`, known by `kind`.
  package init(_ endpoint: Endpoint, _ kind: Kind) { (self.endpoint, self.kind) = (endpoint, kind) }
}
