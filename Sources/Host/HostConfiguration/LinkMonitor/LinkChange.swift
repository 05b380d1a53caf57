// SPDX-License-Identifier: Apache-2.0

package import HostSettings

/// Something changed on the host that a node must know of.
package struct LinkChange: Hashable, Sendable {
  /// The host's networks as they are now.
  package var facts: HostFacts
  /// Whether other hosts may now reach this one, or be reached, by other ways than before.
  package var networkChanged: Bool
  /// Whether others may have undone what we set: apply the settings again.
  ///
  /// A route or rule that carries our mark or an address of our interface was removed, not by this
  /// process; our interface came up again or went away; or so much happened that events were lost.
  package var groundDisturbed: Bool

  /// The later of two changes, with what the earlier one told.
  func merged(over earlier: LinkChange) -> LinkChange {
    LinkChange(
      facts: facts,
      networkChanged: networkChanged || earlier.networkChanged,
      groundDisturbed: groundDisturbed || earlier.groundDisturbed
    )
  }
}

extension HostFacts {
  /// What of the facts decides how others reach this host: without our own interface, without
  /// interfaces that are down, without addresses nobody may use.
  func reachability(excluding ownInterface: String) -> HostFacts {
    var reduced = self
    reduced.interfaces = interfaces.filter {
      $0.isUp && !$0.isLoopback && $0.name != ownInterface
    }
    for index in reduced.interfaces.indices {
      reduced.interfaces[index].mtu = 0
      reduced.interfaces[index].addresses = reduced.interfaces[index].addresses
        .filter(\.isReachable).sorted { $0.prefix < $1.prefix }
    }
    let own = interface(named: ownInterface)?.index
    reduced.defaultRoutes.removeAll { $0.interfaceIndex == own }
    return reduced
  }
}
