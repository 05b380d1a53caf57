// SPDX-License-Identifier: Apache-2.0

public import Addressing
public import Packets

/// Decides which packets from peers may come in.
///
/// Compiled once from the rules that the coordination server sends, wherever that may take a while, and
/// then handed over as one reference and only read. State lives in the `FlowTable` that every call is
/// given, so that flows survive a change of rules. TCP is not tracked: only packets that open a
/// connection need a rule, the rest is left to the operating system. A filter that was never given
/// anything (`Filter.none`) accepts nothing.
///
/// Unlike the original, a later fragment must be addressed to a local network like everything else.
///
/// - Source: `Documentation/Protocols/packet-filter.md`, decisions.
public struct Filter: Sendable {
  /// How many rules a filter takes; what comes after them allows nothing.
  public static let rulesMaximum = 65_536
  /// How many prefixes of sources and destinations its rules name; rules after them allow nothing.
  public static let prefixesMaximum = 1 << 20

  /// The link-local address that the first pre-check lets through: metadata services of clouds.
  static let metadataService = IPAddress(169, 254, 169, 254)

  private let compiled: CompiledRules

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
    compiled = CompiledRules(
      localNetworks: AddressSet(localNetworks),
      rules: rules,
      capabilityHolders: capabilityHolders,
      isShieldsUp: isShieldsUp
    )
  }

  /// Whether only answers are let in, whatever the rules say.
  public var isShieldsUp: Bool { compiled.isShieldsUp }

  /// How many rules did not fit.
  public var rulesLeftOut: Int { compiled.rulesLeftOut }

  /// How much was compiled: pairs of classes worked out, and rules that are asked one by one.
  package var size: (pairs: Int, broad: Int) { compiled.size }

  /// Accepts nothing at all: what holds before any filter was received.
  public static let none = Filter(localNetworks: [], rules: [])

  /// Judges a packet that came from a peer.
  public func inbound(_ view: PacketView, flows: inout FlowTable) -> Verdict {
    if let reason = Self.refusal(view) { return .drop(reason) }
    guard compiled.localNetworks.contains(view.destination) else { return .drop(.notLocal) }
    switch view.kind {
    case .malformed: return .drop(.malformed)
    case .fragment, .tsmp: return .accept
    case .tcp: return !view.isSYN || compiled.letsPort(view) ? .accept : .drop(.rules)
    case .udp, .sctp:
      return flows.use(Flow(view)) || compiled.letsPort(view) ? .accept : .drop(.rules)
    case .icmp:
      return view.isEchoReply || view.isICMPError || compiled.rules(view).letsICMP(view)
        ? .accept : .drop(.rules)
    case .other: return compiled.rules(view).letsOther(view) ? .accept : .drop(.rules)
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
}
