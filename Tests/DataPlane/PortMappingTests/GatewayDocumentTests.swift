// SPDX-License-Identifier: Apache-2.0

import Addressing
import PortMapping
import TestSupport
import Testing

@Suite("Documents of gateways")
struct GatewayDocumentTests {
  private func events(_ text: String) throws -> [XMLReader.Event] {
    var reader = try XMLReader(Array(text.utf8))
    var events: [XMLReader.Event] = []
    while let event = try reader.next() { events.append(event) }
    return events
  }

  private func location() throws -> GatewayURL {
    let text =
      "HTTP/1.1 200 OK\r\nUSN: a:InternetGatewayDevice:1\r\n"
      + "LOCATION: http://192.168.1.1:5000/d/root.xml?x=1\r\n\r\n"
    return try #require(SSDPReply(parsing: Array(text.utf8))).location
  }

  @Test("Elements and text are read; attributes, comments and instructions are passed over")
  func elements() throws {
    let text = """
      <?xml version="1.0"?>
      <!-- < > --><s:root a="1>2" b='<'><one>1 &lt; 2 &amp; &#65;&#x42;</one><two/><![CDATA[<x>]]>
      </s:root>
      """
    #expect(
      try events(text) == [
        .start("root"), .start("one"), .text("1 < 2 & AB"), .end("one"), .start("two"), .end("two"),
        .text("<x>"), .end("root"),
      ]
    )
  }

  @Test("What makes no sense is refused")
  func malformed() {
    for text in [
      "", "text", "<a>", "<a></b>", "<a></a><b/>", "<a", "<a b=\"", "</a>", "<>", "<a>&bogus;</a>",
      "<a>&#0;</a>", "<a>&#xD800;</a>", "<a>&</a>", "<a/>text", "<a><!-- </a>", "<a><![CDATA[</a>",
    ] {
      #expect(throws: XMLError.self, "\(text)") { try events(text) }
    }
  }

  @Test("A document type is refused, and with it every way to make a document grow")
  func documentType() {
    let bomb = "<!DOCTYPE a [<!ENTITY b \"bbbb\"><!ENTITY c \"&b;&b;\">]><a>&c;</a>"
    #expect(throws: XMLError.declaresType) { try events(bomb) }
  }

  @Test("Depth, number, names, text and the whole are bounded")
  func bounds() {
    let deep = String(repeating: "<a>", count: XMLReader.maximumDepth + 1)
    let many = "<a>" + String(repeating: "<b/>", count: XMLReader.maximumElements) + "</a>"
    let name = String(repeating: "n", count: XMLReader.maximumNameLength + 1)
    let text = String(repeating: "t", count: XMLReader.maximumTextLength + 1)
    let whole = "<a>" + String(repeating: " ", count: XMLReader.maximumBytes) + "</a>"
    for document in [deep, many, "<\(name)/>", "<a>\(text)</a>", whole] {
      #expect(throws: XMLError.tooLarge) { try events(document) }
    }
  }

  @Test("A gateway's services are found, the most able first, and asked at the gateway only")
  func description() throws {
    let document = """
      <root xmlns="urn:schemas-upnp-org:device-1-0"><device><friendlyName>Box</friendlyName>
      <deviceList><device><serviceList>
      <service><serviceType>urn:schemas-upnp-org:service:WANPPPConnection:1</serviceType>
      <controlURL>ppp</controlURL></service>
      <service><serviceType>urn:schemas-upnp-org:service:WANIPConnection:2</serviceType>
      <controlURL>/ctl/IPConn</controlURL></service>
      <service><serviceType>urn:schemas-upnp-org:service:WANIPConnection:1</serviceType>
      <controlURL>http://8.8.8.8:81/elsewhere</controlURL></service>
      <service><serviceType>urn:schemas-upnp-org:service:Layer3Forwarding:1</serviceType>
      <controlURL>/no</controlURL></service>
      </serviceList></device></deviceList></device></root>
      """
    let found = try DeviceDescription(parsing: Array(document.utf8), at: try location())
    #expect(found.name == "Box")
    #expect(found.services.map(\.kind) == [.ip2, .ip1, .ppp1])
    #expect(found.services.map(\.control.path) == ["/ctl/IPConn", "/elsewhere", "/d/ppp"])
    #expect(found.services.map(\.control.port) == [5000, 81, 5000])
  }

  @Test(
    "A reference that would end a line of the request, or names another host by name, is left out"
  )
  func references() throws {
    for reference in ["//evil/x", "/a\r\nX: y", "http://evil/x", "", "ftp://192.168.1.1/", "/a b"] {
      let document =
        "<root><service><serviceType>urn:schemas-upnp-org:service:WANIPConnection:1</serviceType>"
        + "<controlURL>\(reference)</controlURL></service></root>"
      let found = try DeviceDescription(parsing: Array(document.utf8), at: try location())
      #expect(found.services.isEmpty, "\(reference)")
    }
  }

  @Test("Values and faults of answers are told apart")
  func answers() throws {
    let values = """
      <s:Envelope xmlns:s="x"><s:Body><u:GetExternalIPAddressResponse xmlns:u="y">
      <NewExternalIPAddress> 203.0.113.5 </NewExternalIPAddress>
      </u:GetExternalIPAddressResponse></s:Body></s:Envelope>
      """
    #expect(try SOAPResponse(parsing: Array(values.utf8))["NewExternalIPAddress"] == "203.0.113.5")
    let fault = """
      <s:Envelope><s:Body><s:Fault><faultcode>s:Client</faultcode><detail><UPnPError>
      <errorCode>718</errorCode></UPnPError></detail></s:Fault></s:Body></s:Envelope>
      """
    #expect(try SOAPResponse(parsing: Array(fault.utf8)) == .fault(718))
  }

  @Test("Documents cut off anywhere, or with changed bytes, are no trap")
  func mutations() throws {
    let action = SOAPAction.add(
      external: 5000,
      internal: 41_641,
      client: IPAddress(192, 168, 1, 2),
      leaseSeconds: 7200
    )
    let document = action.body(for: .ip1)
    #expect(try SOAPResponse(parsing: document)["NewProtocol"] == "UDP")
    var random = SeededGenerator(state: 7)
    for count in document.indices.dropLast(2) {
      #expect(throws: XMLError.self) { try SOAPResponse(parsing: Array(document.prefix(count))) }
      var changed = document
      changed[count] = UInt8.random(in: 0...255, using: &random)
      _ = try? SOAPResponse(parsing: changed)
      _ = try? DeviceDescription(parsing: changed, at: try location())
    }
  }
}
