// SPDX-License-Identifier: Apache-2.0

public import Addressing
public import Packets

/// Decides which packets from peers may come in.
///
/// Compiled once from the rules that the coordination server sends, then only read. State lives in
/// the `FlowTable` that every call is given, so that flows survive a change of rules. TCP is not
/// tracked: only packets that open a connection need a rule, the rest is left to the operating
/// system. A filter that was never given anything (`Filter.none`) accepts nothing.
///
/// Unlike the original, a later fragment must be addressed to a local network like everything else.
///
/// - Source: `Documentation/Protocols/packet-filter.md`, decisions.
public struct Filter: Sendable {
  private struct CompiledRule: Sendable {
    var rule: Rule
    var capableSources: Set<IPAddress>

    func matches(source: IPAddress) -> Bool {
      rule.sources.contains(source) || capableSources.contains(source)
    }
  }

  /// The link-local address that the first pre-check lets through: metadata services of clouds.
  static let metadataService = IPAddress(169, 254, 169, 254)

  private let localNetworks: AddressSet
  private let rulesV4: [CompiledRule]
  private let rulesV6: [CompiledRule]
  private let allowsAllV4: Bool
  private let allowsAllV6: Bool
  /// Whether only answers are let in, whatever the rules say.
  public let isShieldsUp: Bool

  /// Compiles rules.
  ///
  /// - Parameters:
  ///   - localNetworks: The addresses of this node and the networks it routes for others.
  ///   - rules: What is allowed.
  ///   - capabilityHolders: The addresses of the peers that have a capability, by its name.
  ///   - isShieldsUp: Lets in answers only.
  public init(
    localNetworks: some Sequence<IPPrefix>,
    rules: [Rule],
    capabilityHolders: [String: Set<IPAddress>] = [:],
    isShieldsUp: Bool = false
  ) {
    self.localNetworks = AddressSet(localNetworks)
    self.isShieldsUp = isShieldsUp
    let compiled = (isShieldsUp ? [] : rules).map { rule in
      CompiledRule(
        rule: rule,
        capableSources: rule.sourceCapabilities.reduce(into: []) { holders, name in
          holders.formUnion(capabilityHolders[name] ?? [])
        }
      )
    }
    rulesV4 = compiled.filter { Self.concerns($0.rule, .v4) }
    rulesV6 = compiled.filter { Self.concerns($0.rule, .v6) }
    allowsAllV4 = rulesV4.contains { Self.allowsAll($0.rule, .v4) }
    allowsAllV6 = rulesV6.contains { Self.allowsAll($0.rule, .v6) }
  }

  /// Accepts nothing at all: what holds before any filter was received.
  public static let none = Filter(localNetworks: [], rules: [])

  /// Judges a packet that came from a peer.
  public func inbound(_ view: PacketView, flows: inout FlowTable) -> Verdict {
    if let reason = Self.refusal(view) { return .drop(reason) }
    guard localNetworks.contains(view.destination) else { return .drop(.notLocal) }
    switch view.kind {
    case .malformed: return .drop(.malformed)
    case .fragment, .tsmp: return .accept
    case .tcp: return !view.isSYN || allowsPort(view) ? .accept : .drop(.rules)
    case .udp, .sctp:
      return flows.use(Flow(view)) || allowsPort(view) ? .accept : .drop(.rules)
    case .icmp:
      return view.isEchoReply || view.isICMPError || allowsICMP(view) ? .accept : .drop(.rules)
    case .other: return allowsOther(view) ? .accept : .drop(.rules)
    }
  }

  /// Judges a packet that goes to a peer, and remembers its flow for the answers.
  public func outbound(_ view: PacketView, flows: inout FlowTable) -> Verdict {
    if let reason = Self.refusal(view) { return .drop(reason) }
    if view.kind == .udp || view.kind == .sctp { flows.insert(Flow(view).reversed) }
    return .accept
  }

  /// What is refused in both directions, whatever the rules say.
  private static func refusal(_ view: PacketView) -> Verdict.Reason? {
    if view.kind == .malformed { return .malformed }
    if view.destination.isMulticast { return .multicast }
    if view.destination.isLinkLocal, view.destination != metadataService { return .linkLocal }
    return nil
  }

  private func allowsPort(_ view: PacketView) -> Bool {
    let isV4 = view.source.isV4
    if isV4 ? allowsAllV4 : allowsAllV6, view.kind != .sctp { return true }
    return (isV4 ? rulesV4 : rulesV6).contains { compiled in
      compiled.rule.protocols.contains(view.proto) && compiled.matches(source: view.source)
        && compiled.rule.destinations.contains {
          $0.contains(view.destinationPort) && $0.addresses.contains(view.destination)
        }
    }
  }

  /// ICMP ignores ports and protocols, and for capable sources even the destination.
  private func allowsICMP(_ view: PacketView) -> Bool {
    (view.source.isV4 ? rulesV4 : rulesV6).contains { compiled in
      if compiled.capableSources.contains(view.source) { return true }
      return compiled.rule.sources.contains(view.source)
        && compiled.rule.destinations.contains { $0.addresses.contains(view.destination) }
    }
  }

  /// Protocols without ports need a rule that names them and asks for all ports.
  private func allowsOther(_ view: PacketView) -> Bool {
    (view.source.isV4 ? rulesV4 : rulesV6).contains { compiled in
      compiled.rule.protocols.contains(view.proto) && compiled.rule.sources.contains(view.source)
        && compiled.rule.destinations.contains {
          $0.hasEveryPort && $0.addresses.contains(view.destination)
        }
    }
  }

  private static func concerns(_ rule: Rule, _ family: IPAddress.Family) -> Bool {
    (rule.sources.hasAny(of: family) || !rule.sourceCapabilities.isEmpty)
      && rule.destinations.contains { $0.addresses.hasAny(of: family) }
  }

  private static func allowsAll(_ rule: Rule, _ family: IPAddress.Family) -> Bool {
    rule.sources.hasAll(of: family) && rule.protocols.isSuperset(of: .usual)
      && rule.destinations.contains { $0.hasEveryPort && $0.addresses.hasAll(of: family) }
  }
}
