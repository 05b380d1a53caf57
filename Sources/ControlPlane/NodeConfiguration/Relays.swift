// SPDX-License-Identifier: Apache-2.0

package import ControlProtocol
package import DERP

extension RelayMap {
  /// The relays that the coordination server told, as the data plane knows them.
  ///
  /// A region under another number than its own, or a relay of another region, is left out: two
  /// regions of one number would make paths ambiguous.
  package init(_ map: DERPMap) {
    let regions = map.sortedRegions.map { region in
      RelayRegion(
        id: RegionID(region.regionID),
        code: region.regionCode,
        name: region.regionName,
        nodes: region.nodes.filter { $0.regionID == region.regionID }.map(RelayNode.init),
        noMeasureNoHome: region.noMeasureNoHome,
        avoid: region.avoid
      )
    }
    let scores = map.homeParams?.regionScore ?? [:]
    self.init(
      regions: Dictionary(regions.map { ($0.id, $0) }) { first, _ in first },
      regionScores: Dictionary(uniqueKeysWithValues: scores.map { (RegionID($0.key), $0.value) }),
      omitDefaultRegions: map.omitDefaultRegions
    )
  }
}

extension RelayNode {
  /// A relay that the coordination server told.
  init(_ node: DERPNode) {
    self.init(
      name: node.name,
      regionID: RegionID(node.regionID),
      hostName: node.hostName,
      certName: node.certName,
      ipv4: node.ipv4,
      ipv6: node.ipv6,
      stunPort: node.stunPort,
      stunOnly: node.stunOnly,
      derpPort: node.derpPort,
      insecureForTests: node.insecureForTests,
      stunTestIP: node.stunTestIP,
      canPort80: node.canPort80
    )
  }
}
