// SPDX-License-Identifier: Apache-2.0

internal import Addressing
internal import ControlProtocol
package import JSON

/// What a policy would do to a network that is written down in a file.
package enum PolicyEvaluation {
  /// What became of a policy, and whether it is valid.
  package struct Result: Sendable {
    /// Whether the policy would be taken.
    package var isValid: Bool
    /// Everything there is to say, for programs.
    package var report: JSONValue
  }

  /// What a file asked for cannot be.
  package struct TopologyError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What is wrong with it.
    package var message: String
    /// What is wrong with it.
    package var description: String { message }
  }

  /// Evaluates a policy for every device of a topology, or for one.
  package static func evaluate(
    policy text: [UInt8],
    topology: JSONValue,
    node only: String? = nil
  ) throws(TopologyError) -> Result {
    let world = try world(topology)
    if let only, !world.devices.contains(where: { $0.name == only }) {
      throw TopologyError(message: "There is no node '\(printable(only))' in the topology.")
    }
    let policy: Policy
    do throws(PolicyError) {
      policy = try Policy(text, for: world)
    } catch {
      let report: JSONValue = [
        "valid": false, "error": .string(error.description), "nodes": [:],
      ]
      return Result(isValid: false, report: report)
    }
    // Routes that the policy itself approves are approved where it holds.
    let compiled = policy.compiled(for: policy.approvingRoutes(in: world))
    var nodes = JSONObject()
    for device in compiled.world.devices.sorted(by: { $0.name < $1.name })
    where only == nil || only == device.name {
      nodes[device.name] = report(device, in: compiled)
    }
    return Result(isValid: true, report: ["valid": true, "error": "", "nodes": .object(nodes)])
  }

  // MARK: The report

  private static func report(
    _ device: PolicyWorld.Device,
    in policy: CompiledPolicy
  ) -> JSONValue {
    let peers = policy.peers(of: device.id).compactMap { policy.device($0) }
    var allowed = JSONObject()
    for peer in peers.sorted(by: { $0.name < $1.name }) {
      allowed[peer.name] = .array(
        policy.allowedIPs(of: peer.id, for: device.id).map { .string($0.description) }
      )
    }
    var capabilities = JSONObject()
    for (name, values) in policy.attributes(of: device.id).sorted(by: { $0.key < $1.key }) {
      capabilities[name] = values.isEmpty ? .null : value(values)
    }
    return [
      "packet_filter_rules": .array(policy.filter(of: device.id).map(value)),
      "ssh_rules": .array(policy.sshRules(of: device.id).map(\.json)),
      "peers": .array(peers.map(\.name).sorted().map { .string($0) }),
      "cap_map": .object(capabilities),
      "allowed_ips": .object(allowed),
    ]
  }

  private static func value(_ values: [[UInt8]]) -> JSONValue {
    // What the reader took apart and wrote anew is JSON.
    .array(values.map { (try? JSONValue(parsing: $0)) ?? .null })
  }

  private static func value(_ rule: FilterRule) -> JSONValue {
    var result: JSONObject = ["SrcIPs": .array(rule.srcIPs.map { .string($0) })]
    if !rule.dstPorts.isEmpty {
      result["DstPorts"] = .array(
        rule.dstPorts.map { range in
          [
            "IP": .string(range.ip),
            "Ports": [
              "First": .integer(Int64(range.ports.first)),
              "Last": .integer(Int64(range.ports.last)),
            ],
          ]
        }
      )
    }
    if !rule.ipProto.isEmpty {
      result["IPProto"] = .array(rule.ipProto.map { .integer(Int64($0)) })
    }
    if !rule.capGrant.isEmpty { result["CapGrant"] = .array(rule.capGrant.map(value)) }
    return .object(result)
  }

  private static func value(_ grant: CapGrant) -> JSONValue {
    var capabilities = JSONObject()
    for (name, values) in grant.capMap.sorted(by: { $0.key < $1.key }) {
      let isCompanion = RuleCompiler.companionNames.contains(name)
      capabilities[name] = isCompanion ? .null : value(values)
    }
    return [
      "Dsts": .array(grant.dsts.map { .string($0.description) }), "CapMap": .object(capabilities),
    ]
  }

  // MARK: The topology

  /// Reads a topology: `users` (id, name, email, role, groups) and `nodes` by name (tags, user,
  /// ipv4, ipv6, routable_ips, approved_routes, attributes).
  ///
  /// Where nobody has a role, the first user owns the network and the others administer it.
  package static func world(_ topology: JSONValue) throws(TopologyError) -> PolicyWorld {
    var people: [PolicyWorld.Person] = []
    for (index, user) in (topology["users"]?.array ?? []).enumerated() {
      guard let name = user["name"]?.string ?? user["email"]?.string else {
        throw TopologyError(message: "User \(index + 1) of the topology has no name.")
      }
      var role: PolicyWorld.Role?
      if let text = user["role"]?.string {
        guard let known = PolicyWorld.Role(rawValue: text) else {
          throw TopologyError(message: "'\(printable(text))' is no role of a user.")
        }
        role = known
      }
      people.append(
        PolicyWorld.Person(
          id: UserID(user["id"]?.int64 ?? Int64(index + 1)),
          name: name,
          email: user["email"]?.string ?? "",
          role: role ?? (people.isEmpty ? .owner : .admin),
          groups: (user["groups"]?.array ?? []).compactMap(\.string)
        )
      )
    }
    let byName = Dictionary(
      people.map { ($0.name, $0.id) },
      uniquingKeysWith: { first, _ in first }
    )
    guard let nodes = topology["nodes"]?.object else {
      throw TopologyError(message: "The topology has no 'nodes'.")
    }
    var devices: [PolicyWorld.Device] = []
    for (index, node) in nodes.members.sorted(by: { $0.name < $1.name }).enumerated() {
      devices.append(try device(node.name, NodeID(Int64(index + 1)), node.value, byName))
    }
    return PolicyWorld(
      people: people,
      devices: devices.choosingPrimaries,
      domains: Set((topology["domains"]?.array ?? []).compactMap { $0.string?.lowercased() })
    )
  }

  private static func device(
    _ name: String,
    _ id: NodeID,
    _ node: JSONValue,
    _ people: [String: UserID]
  ) throws(TopologyError) -> PolicyWorld.Device {
    var addresses: [IPAddress] = []
    for text in [node["ipv4"], node["ipv6"]].compactMap({ $0?.string }) where !text.isEmpty {
      guard let address = IPAddress(text) else {
        throw TopologyError(message: "Node '\(name)': '\(printable(text))' is no address.")
      }
      addresses.append(address)
    }
    func prefixes(_ member: String) throws(TopologyError) -> [IPPrefix] {
      try (node[member]?.array ?? []).compactMap(\.string).map { text throws(TopologyError) in
        guard let prefix = IPPrefix(text)?.masked else {
          throw TopologyError(message: "Node '\(name)': '\(printable(text))' is no prefix.")
        }
        return prefix
      }
    }
    let announced = Set(try prefixes("routable_ips"))
    let approved = try prefixes("approved_routes").filter(announced.contains)
    var attributes: [String: PostureValue] = [:]
    for (key, value) in node["attributes"]?.object?.members ?? [] {
      if let text = value.string { attributes[key] = .text(text) }
      if let number = value.double { attributes[key] = .number(number) }
      if let flag = value.bool { attributes[key] = .flag(flag) }
    }
    return PolicyWorld.Device(
      id: id,
      name: name,
      addresses: addresses,
      user: node["user"]?.string.flatMap { people[$0] },
      tags: (node["tags"]?.array ?? []).compactMap(\.string),
      announced: announced.sorted(),
      approved: approved,
      attributes: attributes
    )
  }
}
