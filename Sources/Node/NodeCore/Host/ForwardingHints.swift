// SPDX-License-Identifier: Apache-2.0

import HostIO
import HostSettings

/// What an operator could do so that packets that the host forwards through the tunnel cost less.
struct ForwardingHints: Hashable, Sendable {
  /// A command for each interface that could do better, by interface.
  private(set) var commands: [String: String] = [:]

  /// Looks at the interfaces by which the host reaches the rest of the world, where it forwards at all.
  ///
  /// - Parameters:
  ///   - facts: The host's networks.
  ///   - own: The tunnel's interface.
  ///   - isForwarding: Whether the host forwards.
  ///   - offloads: What an interface does; nil when it cannot be asked.
  init(
    _ facts: HostFacts,
    except own: String,
    isForwarding: Bool,
    offloads: (String) -> InterfaceOffloads?
  ) {
    guard isForwarding else { return }
    for route in facts.defaultRoutes {
      guard let link = facts.interfaces.first(where: { $0.index == route.interfaceIndex }),
        link.isUp, link.name != own, commands[link.name] == nil
      else { continue }
      commands[link.name] = offloads(link.name)?.hint(forInterface: link.name)
    }
  }

  /// Those of the host as it is.
  init(_ facts: HostFacts, except own: String) {
    self.init(facts, except: own, isForwarding: InterfaceOffloads.isHostForwarding) { name in
      // An interface that is gone already needs no hint.
      try? InterfaceOffloads(ofInterface: name)
    }
  }
}
