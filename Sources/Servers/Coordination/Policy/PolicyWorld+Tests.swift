// SPDX-License-Identifier: Apache-2.0

internal import Addressing

// What tests of a policy suppose of a world.

extension PolicyWorld {
  /// This world, in which every user and tag that `selectors` name has a device.
  func havingDevices(for selectors: [Selector], of document: PolicyDocument) -> PolicyWorld {
    var world = self
    var (tags, users): (Set<String>, Set<String>) = ([], [])
    for selector in selectors {
      switch selector {
      case .tag(let tag): tags.insert(tag)
      case .user(let word): users.insert(word)
      case .group(let name):
        for case .user(let word) in document.groups[name]?.members.map(\.value) ?? [] {
          users.insert(word)
        }
      default: break
      }
    }
    let used = Set(devices.flatMap(\.tags))
    for tag in tags.sorted() where !used.contains(tag) { world.add(user: nil, tags: [tag]) }
    let owners = Set(devices.compactMap(\.person))
    for word in users.sorted() {
      let known = people(called: word)
      guard known.count <= 1 else { continue }
      if let person = known.first {
        if !owners.contains(person.id) { world.add(user: person.id, tags: []) }
      } else {
        let id = UserID(Int64.max - Int64(world.people.count))
        let name = word.hasSuffix("@") ? String(word.dropLast()) : word
        world.people.append(Person(id: id, name: name, email: word.hasSuffix("@") ? "" : word))
        world.add(user: id, tags: [])
      }
    }
    return world
  }

  /// Adds a device at an address that no real one has.
  private mutating func add(user: UserID?, tags: [String]) {
    let number = UInt64(devices.count)
    devices.append(
      Device(
        id: NodeID(Int64.max - Int64(devices.count)),
        name: tags.first ?? "a device of the user",
        addresses: [IPAddress(high: 0xFD7A_115C_A1E0_FFFF, low: .max - number)],
        user: user,
        tags: tags
      )
    )
    devices.sort { $0.id < $1.id }
  }

  /// This world, in which some devices have other attributes.
  func giving(_ attributes: [String: PostureValue], to nodes: [NodeID]) -> PolicyWorld {
    var world = self
    let nodes = Set(nodes)
    for index in world.devices.indices where nodes.contains(world.devices[index].id) {
      world.devices[index].attributes.merge(attributes) { $1 }
    }
    return world
  }
}
