// SPDX-License-Identifier: Apache-2.0

public import Packets

/// Which sources may open which flows.
///
/// There are only rules that allow; their order does not matter.
public struct Rule: Hashable, Sendable {
  /// Addresses and the ports on them.
  public struct Destination: Hashable, Sendable {
    /// The addresses.
    public var addresses: AddressSet
    /// The lowest port.
    public var firstPort: UInt16
    /// The highest port; below `firstPort` the destination has no port at all.
    public var lastPort: UInt16

    /// Addresses and a range of ports, all of them unless said otherwise.
    public init(_ addresses: AddressSet, firstPort: UInt16 = 0, lastPort: UInt16 = .max) {
      (self.addresses, self.firstPort, self.lastPort) = (addresses, firstPort, lastPort)
    }

    /// Whether it means the address as a whole, as protocols without ports require.
    var hasEveryPort: Bool { firstPort == 0 && lastPort == .max }

    func contains(_ port: UInt16) -> Bool { port >= firstPort && port <= lastPort }
  }

  /// Where flows may come from.
  public var sources: AddressSet
  /// Nodes with one of these capabilities are sources too.
  public var sourceCapabilities: [String]
  /// Where they may go.
  public var destinations: [Destination]
  /// Of which protocols.
  public var protocols: ProtocolSet

  /// A rule.
  public init(
    sources: AddressSet,
    sourceCapabilities: [String] = [],
    destinations: [Destination],
    protocols: ProtocolSet = .usual
  ) {
    (self.sources, self.sourceCapabilities) = (sources, sourceCapabilities)
    (self.destinations, self.protocols) = (destinations, protocols)
  }

  /// Everything may reach everything, with the usual protocols.
  public static let allowAll = Rule(
    sources: .everything,
    destinations: [Destination(.everything)]
  )

  /// Reads a rule from the texts it is delivered as.
  ///
  /// A text that cannot be read contributes nothing, and the rest counts.
  ///
  /// - Parameters:
  ///   - sources: The source list.
  ///   - destinations: The destination list with the lowest and highest port of each.
  ///   - protocols: Protocol numbers; none for the usual ones.
  ///   - problems: Receives what could not be read.
  public init(
    sources: [String],
    destinations: [(address: String, firstPort: UInt16, lastPort: UInt16)],
    protocols: [Int],
    problems: inout [AddressTextError]
  ) {
    self.init(
      sources: AddressSet(),
      destinations: [],
      protocols: protocols.isEmpty ? .usual : ProtocolSet(protocols)
    )
    for text in sources {
      do throws(AddressTextError) {
        switch try AddressText(text) {
        case .addresses(let addresses): self.sources.formUnion(addresses)
        case .capability(let name): sourceCapabilities.append(name)
        }
      } catch { problems.append(error) }
    }
    for (text, first, last) in destinations {
      do throws(AddressTextError) {
        guard case .addresses(let addresses) = try AddressText(text) else {
          throw .capabilityAsDestination(text)
        }
        self.destinations.append(Destination(addresses, firstPort: first, lastPort: last))
      } catch { problems.append(error) }
    }
  }
}

/// A set of IP protocol numbers.
public struct ProtocolSet: Hashable, Sendable {
  private var bits: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)

  /// The protocols of these numbers; a number outside 0 to 255 names none.
  public init(_ numbers: some Sequence<Int>) {
    for number in numbers {
      guard let value = UInt8(exactly: number) else { continue }
      let bit: UInt64 = 1 << UInt64(value & 63)
      switch value >> 6 {
      case 0: bits.0 |= bit
      case 1: bits.1 |= bit
      case 2: bits.2 |= bit
      default: bits.3 |= bit
      }
    }
  }

  /// What a rule that names no protocol is about: TCP, UDP and ICMP of both families.
  public static let usual = ProtocolSet([6, 17, 1, 58])

  /// Whether `proto` is in it.
  public func contains(_ proto: IPProtocol) -> Bool {
    let bit: UInt64 = 1 << UInt64(proto.rawValue & 63)
    return switch proto.rawValue >> 6 {
    case 0: bits.0 & bit != 0
    case 1: bits.1 & bit != 0
    case 2: bits.2 & bit != 0
    default: bits.3 & bit != 0
    }
  }

  /// Adds the protocols of `other`.
  mutating func formUnion(_ other: ProtocolSet) {
    bits.0 |= other.bits.0
    bits.1 |= other.bits.1
    bits.2 |= other.bits.2
    bits.3 |= other.bits.3
  }

  /// Whether `other` is wholly in it.
  public func isSuperset(of other: ProtocolSet) -> Bool {
    other.bits.0 & ~bits.0 == 0 && other.bits.1 & ~bits.1 == 0 && other.bits.2 & ~bits.2 == 0
      && other.bits.3 & ~bits.3 == 0
  }

  /// Whether both hold the same protocols.
  public static func == (left: ProtocolSet, right: ProtocolSet) -> Bool { left.bits == right.bits }

  /// Hashes the protocols.
  public func hash(into hasher: inout Hasher) {
    hasher.combine(bits.0)
    hasher.combine(bits.1)
    hasher.combine(bits.2)
    hasher.combine(bits.3)
  }
}
