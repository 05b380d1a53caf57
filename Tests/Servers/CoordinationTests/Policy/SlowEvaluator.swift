// SPDX-License-Identifier: Apache-2.0

import Addressing
import ControlProtocol
import Coordination
import JSON

/// Says of one packet whether a policy lets it in, by reading the policy as it is written.
///
/// Slow and obvious on purpose: it knows nothing of rules for clients, sets or compilation.
struct SlowEvaluator {
  struct Packet {
    var source: IPAddress
    var target: IPAddress
    var proto: Int
    var port: UInt16
  }

  let policy: JSONValue
  let world: PolicyWorld

  init(_ text: String, _ world: PolicyWorld) throws {
    policy = try JSONValue(parsing: text)
    self.world = world
  }

  /// Whether `packet` may come in at `device`.
  func lets(_ packet: Packet, in device: PolicyWorld.Device) -> Bool {
    if policy["acls"] == nil, policy["grants"] == nil {
      return carries("", packet.proto) && comes(packet.source, from: "*")
    }
    return (policy["acls"]?.array ?? []).contains { lets(packet, $0, device) }
      || (policy["grants"]?.array ?? []).contains { grants(packet, $0, device) }
  }

  private func lets(_ packet: Packet, _ acl: JSONValue, _ device: PolicyWorld.Device) -> Bool {
    let proto = acl["proto"]?.string ?? ""
    guard carries(proto, packet.proto) else { return false }
    return texts(acl["src"]).contains { source in
      texts(acl["dst"]).contains { target in
        guard let colon = target.lastIndex(of: ":") else { return false }
        let ports = String(target[target.index(after: colon)...])
        return holds(ports, packet.port)
          && reaches(packet, source, String(target[..<colon]), device, via: [])
      }
    }
  }

  private func grants(_ packet: Packet, _ grant: JSONValue, _ device: PolicyWorld.Device) -> Bool {
    let isCarried = texts(grant["ip"]).contains { flow in
      guard let colon = flow.firstIndex(of: ":") else {
        return carries("", packet.proto) && holds(flow, packet.port)
      }
      return carries(String(flow[..<colon]), packet.proto)
        && holds(String(flow[flow.index(after: colon)...]), packet.port)
    }
    guard isCarried else { return false }
    return texts(grant["src"]).contains { source in
      texts(grant["dst"]).contains { target in
        reaches(packet, source, target, device, via: texts(grant["via"]))
      }
    }
  }

  private func texts(_ value: JSONValue?) -> [String] { (value?.array ?? []).compactMap(\.string) }

  private func carries(_ word: String, _ proto: Int) -> Bool {
    switch word {
    case "": [1, 6, 17, 58].contains(proto)
    case "tcp": proto == 6
    case "udp": proto == 17
    case "icmp": proto == 1
    case "sctp": proto == 132
    default: Int(word) == proto
    }
  }

  private func holds(_ ports: String, _ port: UInt16) -> Bool {
    ports == "*"
      || ports.split(separator: ",").contains { part in
        let ends = part.split(separator: "-").compactMap { UInt16($0) }
        return ends[0] <= port && port <= ends[ends.count - 1]
      }
  }

  private func reaches(
    _ packet: Packet,
    _ source: String,
    _ target: String,
    _ device: PolicyWorld.Device,
    via: [String]
  ) -> Bool {
    guard comes(packet.source, from: source) else { return false }
    let isOwn = device.addresses.contains(packet.target)
    if !via.isEmpty {
      guard via.contains(where: device.tags.contains), !isOwn else { return false }
    }
    switch target {
    case "*": return true
    case "autogroup:self":
      guard isOwn, device.tags.isEmpty, let user = device.user else { return false }
      return self.device(at: packet.source).map { $0.tags.isEmpty && $0.user == user } ?? false
    default:
      if let prefix = prefix(target) { return prefix.contains(packet.target) }
      return isOwn && means(target, device)
    }
  }

  /// Whether an address is one that a word means as a source.
  private func comes(_ address: IPAddress, from word: String) -> Bool {
    if word == "*" {
      return world.devices.contains { $0.routes.contains { $0.contains(address) } }
        || TailnetRanges.contains(address) && !TailnetRanges.chromeOSReserved.contains(address)
    }
    if let prefix = prefix(word) { return prefix.contains(address) }
    return device(at: address).map { means(word, $0) } ?? false
  }

  private func device(at address: IPAddress) -> PolicyWorld.Device? {
    world.devices.first { $0.addresses.contains(address) }
  }

  /// The prefix that a word spells out or that is a host's.
  func prefix(_ word: String) -> IPPrefix? {
    let text = policy["hosts"]?[word]?.string ?? word
    return IPPrefix(text) ?? IPAddress(text).map { IPPrefix(host: $0) }
  }

  private func means(_ word: String, _ device: PolicyWorld.Device) -> Bool {
    if word == "autogroup:tagged" { return !device.tags.isEmpty }
    if word.hasPrefix("tag:") { return device.tags.contains(word) }
    guard device.tags.isEmpty,
      let person = world.people.first(where: { $0.id == device.user })
    else { return false }
    if word == "autogroup:member" { return true }
    if word.hasPrefix("group:") { return texts(policy["groups"]?[word]).contains(person.email) }
    return person.email == word
  }
}

/// Whether rules as clients read them let a packet in.
func clientLets(_ packet: SlowEvaluator.Packet, by rules: [FilterRule]) -> Bool {
  rules.contains { rule in
    let protocols = rule.ipProto.isEmpty ? [1, 6, 17, 58] : rule.ipProto
    return protocols.contains(packet.proto)
      && rule.srcIPs.contains { spells($0, packet.source) }
      && rule.dstPorts.contains { range in
        spells(range.ip, packet.target)
          && (range.ports.first...range.ports.last).contains(packet.port)
      }
  }
}

private func spells(_ text: String, _ address: IPAddress) -> Bool {
  if text == "*" || IPAddress(text) == address { return true }
  if let prefix = IPPrefix(text) { return prefix.contains(address) }
  let ends = text.split(separator: "-").compactMap { IPAddress($0) }
  guard ends.count == 2, ends[0].family == address.family else { return false }
  return ends[0] <= address && address <= ends[1]
}
