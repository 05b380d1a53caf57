// SPDX-License-Identifier: Apache-2.0

package import Addressing

// Which routes a policy approves by itself.

extension Policy {
  /// Which of the routes that a device announces the policy approves.
  ///
  /// A subnet is approved by an entry for it or for a larger one. That a device may be an exit node
  /// is said by `exitNode` alone, however large a subnet it may serve.
  package func approvedRoutes(
    _ announced: [IPPrefix],
    of device: PolicyWorld.Device,
    in world: PolicyWorld
  ) -> [IPPrefix] {
    var resolver = Resolver(document, world)
    return approvedRoutes(announced, of: device, with: &resolver)
  }

  func approvedRoutes(
    _ announced: [IPPrefix],
    of device: PolicyWorld.Device,
    with resolver: inout Resolver
  ) -> [IPPrefix] {
    var approved: [IPPrefix] = []
    for route in announced {
      let approvers: [Located<Selector>]
      if route.length == 0 {
        approvers = document.exitApprovers
      } else {
        approvers = document.routeApprovers.filter { $0.key.contains(route) }
          .flatMap(\.value.members)
      }
      if Self.fits(device, approvers.map(\.value), &resolver) { approved.append(route) }
    }
    return approved
  }

  /// Whether a device is one of those that words mean.
  private static func fits(
    _ device: PolicyWorld.Device,
    _ words: [Selector],
    _ resolver: inout Resolver
  ) -> Bool {
    words.contains { word in
      switch word {
      case .everything: true
      case .tag(let tag): device.tags.contains(tag)
      case .autogroup(.tagged): !device.tags.isEmpty
      default: device.person.map(resolver.people(word).contains) ?? false
      }
    }
  }

  /// Whether some devices get their addresses from somewhere of their own.
  var hasAddressPools: Bool { document.attributes.contains { !$0.pools.isEmpty } }

  /// Where a device that comes in gets its IPv4 address from; empty for anywhere.
  package func addressPools(
    of device: PolicyWorld.Device,
    in world: PolicyWorld
  ) -> [IPPrefix] {
    let entries = document.attributes.filter { !$0.pools.isEmpty }
    guard !entries.isEmpty else { return [] }
    var resolver = Resolver(document, world)
    return entries.filter { Self.fits(device, $0.targets.map(\.value), &resolver) }
      .flatMap { $0.pools.map(\.value) }
  }

  /// A world in which the devices serve what the policy approves besides what they serve already.
  package func approvingRoutes(in world: PolicyWorld) -> PolicyWorld {
    var result = world
    var resolver = Resolver(document, world)
    for index in result.devices.indices {
      let device = result.devices[index]
      guard !device.announced.isEmpty else { continue }
      let more = approvedRoutes(device.announced, of: device, with: &resolver)
      result.devices[index].approve(device.approved + more)
    }
    result.devices = result.devices.choosingPrimaries
    return result
  }

  /// Whether a tag may be taken by the devices of a user.
  package func mayTag(_ person: UserID, with tag: String, in world: PolicyWorld) -> Bool {
    let resolver = Resolver(document, world)
    var (pending, seen): ([String], Set<String>) = ([tag], [tag])
    while let next = pending.popLast() {
      for owner in document.tagOwners[next]?.members ?? [] {
        if case .tag(let other) = owner.value {
          if seen.insert(other).inserted { pending.append(other) }
        } else if resolver.people(owner.value).contains(person) {
          return true
        }
      }
    }
    return false
  }

  /// Whether the policy knows a tag.
  package func knows(tag: String) -> Bool { document.tagOwners[tag] != nil }
}

extension [PolicyWorld.Device] {
  /// The same devices, where each subnet has one device that others reach it through: the first.
  package var choosingPrimaries: [PolicyWorld.Device] {
    var taken: Set<IPPrefix> = []
    return map { device in
      var device = device
      device.primaryRoutes = device.routes.filter { taken.insert($0).inserted }
      return device
    }
  }
}
