// SPDX-License-Identifier: Apache-2.0

internal import ControlProtocol

/// Which ports of a destination, as the language spells them.
enum PolicyPorts {
  static let all = [PortRange(first: 0, last: .max)]

  /// `*`, or ports and ranges of ports with commas between.
  static func parse(_ text: some StringProtocol) throws(PortFault) -> [PortRange] {
    if text == "*" { return all }
    var ranges: [PortRange] = []
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      ranges.append(try range(String(part)))
    }
    return ranges
  }

  private static func range(_ text: String) throws(PortFault) -> PortRange {
    let ends = text.split(separator: "-", omittingEmptySubsequences: false)
    guard (1...2).contains(ends.count) else {
      throw PortFault("port range \"\(printable(text))\": not a range of ports")
    }
    var ports: [UInt16] = []
    for end in ends {
      guard let port = number(end) else {
        throw PortFault("port range \"\(printable(text))\": not a port from 1 to 65535")
      }
      ports.append(port)
    }
    let (first, last) = (ports[0], ports[ports.count - 1])
    guard first > 0 else {
      throw PortFault(
        "port range \"\(printable(text))\": first port must be >0, or use '*' for wildcard"
      )
    }
    guard first <= last else {
      throw PortFault(
        "port range \"\(printable(text))\": first port must be less than or equal to last port"
      )
    }
    return PortRange(first: first, last: last)
  }

  private static func number(_ text: Substring) -> UInt16? {
    guard (1...5).contains(text.utf8.count), text.utf8.allSatisfy(isDigit) else { return nil }
    return UInt16(text)
  }
}

struct PortFault: Error {
  var message: String
  init(_ message: String) { self.message = message }
}

/// A protocol, as the language spells it.
enum PolicyProtocol {
  private static let names: [String: Int] = [
    "icmp": 1, "igmp": 2, "ipv4": 4, "ip-in-ip": 4, "tcp": 6, "egp": 8, "igp": 9, "udp": 17,
    "gre": 47, "esp": 50, "ah": 51, "ipv6-icmp": 58, "sctp": 132, "fc": 133,
  ]

  /// The number of a name, or a number from 1 to 255 without leading zero.
  static func number(_ text: some StringProtocol) -> Int? {
    if let known = names[text.lowercased()] { return known }
    guard (1...3).contains(text.utf8.count), text.utf8.allSatisfy(isDigit),
      text.first != "0", let number = Int(text), (1...255).contains(number)
    else { return nil }
    return number
  }

  /// Whether it has ports.
  static func hasPorts(_ number: Int) -> Bool { [6, 17, 132].contains(number) }
}

/// `text` as it may stand in a message: short, and without what would disturb a terminal.
func printable(_ text: some StringProtocol) -> String { NodeName.printable(String(text)) }
