// SPDX-License-Identifier: Apache-2.0

package import ControlProtocol
package import Keys
package import Timing

/// Something that is known of a node's posture from outside, under one name.
package struct NodeAttribute: Hashable, Sendable {
  /// Who says so.
  package enum Source: String, Hashable, Sendable {
    /// An administrator, or a program in its name.
    case administrator
    /// The node itself, where the policy lets it.
    case node
  }

  /// What is known.
  package var value: PostureValue
  /// Who says so.
  package var source: Source
  /// Until when it holds; none for ever.
  package var expiry: Timestamp?

  /// What `source` says until `expiry`.
  package init(_ value: PostureValue, from source: Source, until expiry: Timestamp? = nil) {
    self.value = value
    self.source = source
    self.expiry = expiry
  }
}

extension NodeRecord {
  /// How many attributes a node may have.
  package static let maximumAttributes = 64
  /// The longest name of an attribute, and the longest text in one.
  package static let maximumAttributeLength = 128

  /// All that policies may ask of its posture: what it tells of itself, and what is known from
  /// outside.
  package var posture: [String: PostureValue] {
    var result = attributes.mapValues(\.value)
    for (name, text) in [
      ("node:os", hostinfo.os), ("node:osVersion", hostinfo.osVersion),
      ("node:tsVersion", hostinfo.ipnVersion),
    ] where !text.isEmpty {
      result[name] = .text(text)
    }
    if let track = releaseTrack { result["node:tsReleaseTrack"] = .text(track) }
    guard !isWireGuardOnly else { return result }
    result["node:tsAutoUpdate"] = .flag(hostinfo.allowsUpdate)
    result["node:tsStateEncrypted"] = .flag(hostinfo.stateEncrypted ?? false)
    return result
  }

  /// Whether its program is one that is released, by the custom that even second numbers are.
  private var releaseTrack: String? {
    let parts = hostinfo.ipnVersion.split(separator: ".")
    guard parts.count >= 2, let number = Int(parts[1]) else { return nil }
    return number.isMultiple(of: 2) ? "stable" : "unstable"
  }

  /// Whether `name` may be set from outside: `custom:` and letters, digits, `_`, `-` and `.`.
  static func isAttributeName(_ name: String) -> Bool {
    guard name.hasPrefix("custom:"), name.utf8.count <= maximumAttributeLength else { return false }
    let rest = name.utf8.dropFirst("custom:".utf8.count)
    return !rest.isEmpty
      && rest.allSatisfy { isLetter($0) || isDigit($0) || [0x5F, 0x2D, 0x2E].contains($0) }
  }
}

extension Tailnet {
  /// The attribute of a policy's `nodeAttrs` that lets a node set its own `custom:` attributes.
  package static let selfAttributeCapability = "set-device-attr"

  /// Writes down what is known of a node's posture under a name; nil forgets it.
  package mutating func setAttribute(
    _ name: String,
    of id: NodeID,
    to value: PostureValue?,
    until expiry: Timestamp? = nil,
    by actor: String,
    at now: Moment,
    into effects: inout Effects
  ) throws(Refusal) -> NodeRecord {
    var node = try existing(id)
    if let expiry, expiry <= now.time {
      throw .invalid("The attribute would already have expired.")
    }
    let attribute = value.map { NodeAttribute($0, from: .administrator, until: expiry) }
    try Self.set(name, to: attribute, in: &node)
    put(node, at: now, into: &effects)
    let details = value.map { "\(name)=\($0.shown)" } ?? "\(name) removed"
    audit(actor, "node.attribute", node, details, at: now, into: &effects)
    return node
  }

  /// Takes over what a node says of its own posture; what an administrator said it cannot change.
  package mutating func setOwnAttributes(
    _ request: SetDeviceAttributesRequest,
    from machine: MachineKey,
    at now: Moment,
    into effects: inout Effects
  ) throws(Refusal) {
    guard var node = node(with: request.nodeKey), node.machineKey == machine else {
      throw .notFound("No such node is registered by this machine.")
    }
    guard node.mayTalk(at: now.time),
      access?.attributes(of: node.id)[Self.selfAttributeCapability] != nil
    else {
      throw Refusal(
        .forbidden,
        "The policy does not let this node set attributes of its own: give it "
          + "\"\(Self.selfAttributeCapability)\" in nodeAttrs."
      )
    }
    let before = node
    for (name, value) in request.update {
      if node.attributes[name]?.source == .administrator {
        throw Refusal(.forbidden, "An administrator has set \(NodeName.printable(name)).")
      }
      try Self.set(name, to: value.map { NodeAttribute(.init($0), from: .node) }, in: &node)
    }
    guard node != before else { return }
    put(node, at: now, into: &effects)
    let names = request.update.keys.sorted().joined(separator: ",")
    audit("machine", "node.attribute", node, names, at: now, into: &effects)
  }

  private static func set(
    _ name: String,
    to attribute: NodeAttribute?,
    in node: inout NodeRecord
  ) throws(Refusal) {
    guard NodeRecord.isAttributeName(name) else {
      throw .invalid(
        "'\(NodeName.printable(name))' is not an attribute that can be set: write 'custom:' and "
          + "letters, digits, '_', '-' and '.'."
      )
    }
    if case .text(let text)? = attribute?.value {
      guard text.utf8.count <= NodeRecord.maximumAttributeLength,
        text.unicodeScalars.allSatisfy({ !isControl($0) })
      else {
        throw .invalid(
          "The value of an attribute has at most \(NodeRecord.maximumAttributeLength) bytes and no "
            + "control characters."
        )
      }
    }
    guard
      attribute == nil || node.attributes[name] != nil
        || node.attributes.count < NodeRecord.maximumAttributes
    else {
      throw Refusal(
        .exhausted,
        "A node has at most \(NodeRecord.maximumAttributes) attributes."
      )
    }
    node.attributes[name] = attribute
  }

  /// Forgets what no longer holds of a node's posture.
  mutating func endAttributes(of node: NodeRecord, at now: Moment, into effects: inout Effects) {
    let left = node.attributes.filter { $0.value.expiry.map { $0 > now.time } ?? true }
    guard left.count != node.attributes.count else { return }
    var node = node
    node.attributes = left
    put(node, at: now, into: &effects)
  }
}

extension PostureValue {
  /// What a node says, as policies know it.
  init(_ value: SetDeviceAttributesRequest.Value) {
    switch value {
    case .text(let text): self = .text(text)
    case .number(let number): self = .number(number)
    case .flag(let flag): self = .flag(flag)
    }
  }

  /// Its words.
  package var shown: String {
    switch self {
    case .text(let text): NodeName.printable(text)
    case .number(let number):
      number == number.rounded() && abs(number) < 1e15 ? "\(Int64(number))" : "\(number)"
    case .flag(let flag): "\(flag)"
    }
  }
}
