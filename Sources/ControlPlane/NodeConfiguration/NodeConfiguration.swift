// SPDX-License-Identifier: Apache-2.0

package import HostSettings
package import PacketFilter
package import PacketPipeline

/// Everything that should be true on this node, as it follows from netmap, preferences and host.
///
/// The one place where the two planes meet. Compiled by a pure function and applied by difference.
package struct NodeConfiguration: Sendable {
  /// What the data plane works with.
  package var pipeline: PipelineConfiguration
  /// What is asked of the host: addresses and routes.
  package var router: RouterSettings
  /// What applications may do for whom.
  package var capabilities: PeerCapabilities
  /// Filter texts that could not be read, for the log.
  package var filterProblems: [AddressTextError]
}
