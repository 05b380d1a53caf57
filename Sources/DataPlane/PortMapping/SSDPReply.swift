// SPDX-License-Identifier: Apache-2.0

package import Addressing
import Bytes

/// The questions by which UPnP devices are found.
///
/// - Source: UPnP Device Architecture 1.1 §1.3.2.
package enum SSDPSearch {
  /// Where devices listen.
  package static let group = Endpoint(IPAddress(239, 255, 255, 250), port: 1900)
  /// Asks for every device.
  package static let all = search("ssdp:all")
  /// Asks for gateways.
  package static let gateways = search("urn:schemas-upnp-org:device:InternetGatewayDevice:1")

  private static func search(_ target: String) -> [UInt8] {
    Array(
      ("M-SEARCH * HTTP/1.1\r\nHOST: \(group)\r\nST: \(target)\r\n"
        + "MAN: \"ssdp:discover\"\r\nMX: 2\r\n\r\n").utf8
    )
  }
}

/// A device that answered, where it is an Internet gateway.
package struct SSDPReply: Hashable, Sendable {
  /// Where its description is.
  package let location: GatewayURL
  /// Its unique name, which tells its version.
  package let name: String
  /// What it calls its software.
  package let server: String

  private static let maximumLength = 2048
  private static let maximumFields = 32

  /// Reads an answer; nil for what is no answer, or not of an Internet gateway.
  package init?(parsing datagram: [UInt8]) {
    guard datagram.count <= Self.maximumLength, datagram.allSatisfy({ $0 < 0x80 && $0 != 0 }) else {
      return nil
    }
    let lines = String(decoding: datagram, as: UTF8.self)
      .split(maxSplits: Self.maximumFields, omittingEmptySubsequences: false) { $0.isNewline }
    let status = lines.first?.split(separator: " ", maxSplits: 2) ?? []
    guard status.count >= 2, status[0].uppercased().hasPrefix("HTTP/1."), status[1] == "200" else {
      return nil
    }
    var fields: [String: String] = [:]
    for line in lines.dropFirst() {
      if line.isEmpty { break }
      guard let colon = line.firstIndex(of: ":") else { continue }
      let name = line[..<colon].lowercased()
      let value = line[line.index(after: colon)...].trimmed
      if fields[name] == nil { fields[name] = value }
    }
    let names = [fields["usn"], fields["st"]].compactMap(\.self)
    guard names.contains(where: { $0.firstPlace(of: ":InternetGatewayDevice:") != nil }),
      let location = fields["location"].flatMap(GatewayURL.init)
    else { return nil }
    self.location = location
    name = fields["usn"] ?? ""
    server = fields["server"] ?? ""
  }

  /// The order in which devices are tried: later versions first.
  package static func precedes(_ left: SSDPReply, _ right: SSDPReply) -> Bool {
    left.name != right.name ? left.name > right.name : left.location < right.location
  }
}

extension Substring {
  /// Without blanks around it.
  var trimmed: String {
    var text = self
    while let first = text.first, first.isWhitespace { text.removeFirst() }
    while let last = text.last, last.isWhitespace { text.removeLast() }
    return String(text)
  }
}
