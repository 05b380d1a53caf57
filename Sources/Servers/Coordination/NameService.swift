// SPDX-License-Identifier: Apache-2.0

internal import Addressing
package import ControlProtocol

extension Tailnet {
  /// What nodes are told about names: they answer for our domain and our addresses themselves, and
  /// ask others for the rest.
  package var dnsConfig: DNSConfig {
    var config = DNSConfig()
    let names = nameOptions
    config.proxied = names.answersNames
    config.domains = [options.domain] + names.searchDomains
    if names.answersNames {
      for zone in reverseZones(of: options.ipv4Prefix) + reverseZones(of: options.ipv6Prefix) {
        config.routes[zone] = []
      }
    }
    for (domain, resolvers) in names.split {
      config.routes[domain] = resolvers.map { ControlProtocol.Resolver(addr: $0) }
    }
    let resolvers = names.resolvers.map { ControlProtocol.Resolver(addr: $0) }
    if names.overridesLocal {
      config.resolvers = resolvers
    } else {
      config.fallbackResolvers = resolvers
    }
    config.extraRecords = names.records
    return config
  }
}

/// The zones below which the addresses of a prefix have their names.
///
/// A prefix that ends within a label needs several zones, one a value of that label.
///
/// - Source: RFC 1035 §3.5; RFC 3596 §2.5.
func reverseZones(of prefix: IPPrefix) -> [String] {
  let isV4 = prefix.address.isV4
  let labelBits = isV4 ? 8 : 4
  let base = prefix.masked.address
  let labels: [Int] =
    isV4
    ? base.bytes.map(Int.init)
    : base.bytes.flatMap { [Int($0 >> 4), Int($0 & 15)] }
  let count = (prefix.length + labelBits - 1) / labelBits
  let free = count * labelBits - prefix.length
  guard count > 0 else { return [] }
  let suffix = isV4 ? "in-addr.arpa" : "ip6.arpa"
  return (0..<(1 << free)).map { offset in
    var own = Array(labels.prefix(count))
    own[count - 1] += offset
    return own.reversed().map { String($0, radix: isV4 ? 10 : 16) }.joined(separator: ".") + "."
      + suffix
  }
}
