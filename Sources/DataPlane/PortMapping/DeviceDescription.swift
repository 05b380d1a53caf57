// SPDX-License-Identifier: Apache-2.0

/// A service of a gateway through which ports are mapped.
package struct ConnectionService: Hashable, Sendable {
  /// Its type, which says what it can do.
  package enum Kind: String, Hashable, Sendable, CaseIterable {
    /// IGD 2: the gateway may choose the port.
    case ip2 = "urn:schemas-upnp-org:service:WANIPConnection:2"
    /// IGD 1.
    case ip1 = "urn:schemas-upnp-org:service:WANIPConnection:1"
    /// IGD 1 over PPP.
    case ppp1 = "urn:schemas-upnp-org:service:WANPPPConnection:1"
    /// As some DSL routers call it.
    case ppp1OfDSLForum = "urn:dslforum-org:service:WANPPPConnection:1"
    /// As some DSL routers call it.
    case ip1OfDSLForum = "urn:dslforum-org:service:WANIPConnection:1"
  }

  /// Its type.
  package var kind: Kind
  /// Where it is asked.
  package var control: GatewayURL
}

/// What a gateway tells of itself: of interest are its connection services.
package struct DeviceDescription: Hashable, Sendable {
  /// The services, the most able first.
  package private(set) var services: [ConnectionService] = []
  /// What people call the device.
  package private(set) var name = ""

  /// The most services that are looked at.
  package static let maximumServices = 8
  private static let maximumNameLength = 64

  /// Reads a description that was found at `location`.
  ///
  /// - Throws: `XMLError`; a service that makes no sense is left out.
  package init(parsing document: [UInt8], at location: GatewayURL) throws(XMLError) {
    var reader = try XMLReader(document)
    var base = location
    var path: [String] = []
    var type = ""
    var control = ""
    var found: [(type: String, control: String)] = []
    while let event = try reader.next() {
      switch event {
      case .start(let name):
        path.append(name)
        if name == "service" { (type, control) = ("", "") }
      case .text(let text):
        let text = Substring(text).trimmed
        switch path.last {
        case "serviceType": type = text
        case "controlURL": control = text
        case "friendlyName" where self.name.isEmpty: self.name = Self.printable(text)
        case "URLBase" where path.count == 2: base = GatewayURL(text) ?? location
        default: break
        }
      case .end(let name):
        _ = path.popLast()
        if name == "service", found.count < Self.maximumServices { found.append((type, control)) }
      }
    }
    for kind in ConnectionService.Kind.allCases {
      for service in found where service.type == kind.rawValue {
        guard let url = base.resolving(service.control) else { continue }
        services.append(ConnectionService(kind: kind, control: url))
      }
    }
  }

  private static func printable(_ text: String) -> String {
    String(
      text.unicodeScalars.prefix(maximumNameLength)
        .map { (0x20..<0x7F).contains($0.value) ? Character($0) : "?" }
    )
  }
}
