// SPDX-License-Identifier: Apache-2.0

package import Addressing

/// What a connection service is asked.
///
/// - Source: UPnP WANIPConnection:1 §2.4, WANIPConnection:2 §2.5.
package enum SOAPAction: Hashable, Sendable {
  /// The address outside.
  case externalAddress
  /// Forward UDP from a port.
  case add(external: UInt16, internal: UInt16, client: IPAddress, leaseSeconds: UInt32)
  /// Forward UDP from a port, or from another one that is free.
  case addAny(external: UInt16, internal: UInt16, client: IPAddress, leaseSeconds: UInt32)
  /// Where a port leads.
  case entry(external: UInt16)
  /// Forward it no longer.
  case delete(external: UInt16)

  /// What gateways show people.
  static let description = "martlet"

  /// Its name.
  package var name: String {
    switch self {
    case .externalAddress: "GetExternalIPAddress"
    case .add: "AddPortMapping"
    case .addAny: "AddAnyPortMapping"
    case .entry: "GetSpecificPortMappingEntry"
    case .delete: "DeletePortMapping"
    }
  }

  /// The value of the `SOAPAction` field.
  package func header(for kind: ConnectionService.Kind) -> String { "\"\(kind.rawValue)#\(name)\"" }

  /// The document to post.
  ///
  /// All that is put in are numbers, addresses and types of our own: there is nothing to escape.
  package func body(for kind: ConnectionService.Kind) -> [UInt8] {
    let arguments = arguments.map { "<\($0.name)>\($0.value)</\($0.name)>" }.joined()
    let envelope = "http://schemas.xmlsoap.org/soap/envelope/"
    let encoding = "http://schemas.xmlsoap.org/soap/encoding/"
    return Array(
      ("<?xml version=\"1.0\"?>\r\n<s:Envelope xmlns:s=\"\(envelope)\" "
        + "s:encodingStyle=\"\(encoding)\"><s:Body><u:\(name) xmlns:u=\"\(kind.rawValue)\">"
        + "\(arguments)</u:\(name)></s:Body></s:Envelope>\r\n").utf8
    )
  }

  private var arguments: [(name: String, value: String)] {
    switch self {
    case .externalAddress: []
    case .entry(let external), .delete(let external):
      [("NewRemoteHost", ""), ("NewExternalPort", "\(external)"), ("NewProtocol", "UDP")]
    case .add(let external, let `internal`, let client, let lease),
      .addAny(let external, let `internal`, let client, let lease):
      [
        ("NewRemoteHost", ""), ("NewExternalPort", "\(external)"), ("NewProtocol", "UDP"),
        ("NewInternalPort", "\(`internal`)"), ("NewInternalClient", "\(client)"),
        ("NewEnabled", "1"), ("NewPortMappingDescription", Self.description),
        ("NewLeaseDuration", "\(lease)"),
      ]
    }
  }
}

/// What a connection service answered.
package enum SOAPResponse: Hashable, Sendable {
  /// Done; the values that came back, by name.
  case values([String: String])
  /// Refused, with the error's number.
  case fault(Int)

  private static let maximumValues = 32
  private static let maximumValueLength = 256

  /// Reads an answer.
  package init(parsing document: [UInt8]) throws(XMLError) {
    var reader = try XMLReader(document)
    var path: [String] = []
    var values: [String: String] = [:]
    var isFault = false
    var code: Int?
    while let event = try reader.next() {
      switch event {
      case .start(let name):
        path.append(name)
        if name == "Fault" { isFault = true }
      case .end: _ = path.popLast()
      case .text(let text):
        guard let name = path.last else { continue }
        let text = Substring(text).trimmed
        if name == "errorCode" { code = code ?? Int(text) }
        guard values.count < Self.maximumValues, text.utf8.count <= Self.maximumValueLength,
          values[name] == nil
        else { continue }
        values[name] = text
      }
    }
    self = isFault ? .fault(code ?? 0) : .values(values)
  }

  /// The value of a name.
  package subscript(name: String) -> String? {
    guard case .values(let values) = self else { return nil }
    return values[name]
  }
}
