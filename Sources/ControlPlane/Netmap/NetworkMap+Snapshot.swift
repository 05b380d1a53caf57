// SPDX-License-Identifier: Apache-2.0

package import ControlProtocol

extension NetworkMap {
  /// The response that, as the first of a stream, makes an empty map what this one is.
  ///
  /// What the server sees wrong with the node and what only its presence makes true are left out: it is
  /// for a start without the server.
  package var snapshot: MapResponse {
    var response = MapResponse()
    response.node = selfNode
    response.peers = peers
    response.derpMap = derpMap
    response.dnsConfig = dnsConfig
    response.domain = domain
    response.userProfiles = userProfiles.sorted { $0.key < $1.key }.map(\.value)
    if hasFilter {
      // Said even if there is none: then nobody may come in.
      response.packetFilter = filters["base"] ?? []
      response.packetFilters = filters.filter { $0.key != "base" }.mapValues { $0 }
    }
    response.sshPolicy = sshPolicy
    response.tkaInfo = tkaInfo
    response.collectServices = collectServices
    return response
  }
}
