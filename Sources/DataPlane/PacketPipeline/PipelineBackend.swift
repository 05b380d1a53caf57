// SPDX-License-Identifier: Apache-2.0

package import Cryptography
package import WireGuard

extension Pipeline {
  /// What packets are sealed and opened with: BoringSSL unless something else was asked for.
  package var backend: PacketBackend.Name { tunnel.backend }

  /// Seals and opens with another backend from now on.
  package mutating func use(_ backend: PacketBackend) { tunnel.use(backend) }

  /// Has helpers seal and open long trains with it from now on.
  package mutating func use(_ share: TrainShare) { tunnel.use(share) }
}
