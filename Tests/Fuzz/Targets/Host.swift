// SPDX-License-Identifier: Apache-2.0

import Addressing
import Cryptography
import HostSettings

@testable import HTTPTransport
@testable import HostConfiguration
@testable import NodeCore

extension FuzzTarget {
  static let host = [
    FuzzTarget("Netlink", seeds: ["Corpora/Netlink"]) { bytes in
      var links: [LinkRecord] = []
      var addresses: [AddressRecord] = []
      var routes: [RouteRecord] = []
      var rules: [RuleRecord] = []
      for message in try NetlinkMessage.parse(bytes[...]) {
        // One record that makes no sense is no reason to pass over the next.
        if let link = try? LinkRecord(message) { links.append(link) }
        if let address = try? AddressRecord(message) { addresses.append(address) }
        if let route = try? RouteRecord(message) { routes.append(route) }
        if let rule = try? RuleRecord(message) { rules.append(rule) }
        try? NetlinkSocket.acknowledged(message, "read a corpus")
      }
      for link in links {
        let current = RouterPlan.Current(
          link: link,
          addresses: addresses,
          routes: routes,
          rules: rules
        )
        _ = RouterPlan(RouterSettings(), current: current, families: [.v4, .v6])
      }
      _ = HostFacts(links: links, addresses: addresses, routes: routes).reachableAddresses()
    },
    FuzzTarget("HTTPHead") { bytes in
      let head = try MessageHead(parsing: bytes[...])
      for field in head.headers.fields {
        claim(
          !(field.name + field.value).utf8.contains { $0 == 0x0D || $0 == 0x0A || $0 == 0 },
          "a header with a line in it"
        )
      }
      _ = head.keepsAlive
      // Either reading may be refused; both must come back.
      _ = try? head.requestFraming()
      _ = try? head.responseFraming(to: "GET")
    },
    FuzzTarget("HTTPChunks") { bytes in
      var whole = ChunkDecoder()
      var rest = bytes[...]
      let body = try whole.decode(&rest)
      var dripped = ChunkDecoder()
      var pieces: [UInt8] = []
      for byte in bytes.dropLast(rest.count) {
        var piece = [byte][...]
        guard let decoded = try? dripped.decode(&piece) else {
          fatalError("chunks in pieces are refused")
        }
        pieces += decoded
      }
      claim(pieces == body && dripped.isDone == whole.isDone, "chunks in pieces are another body")
    },
    FuzzTarget("WebSocket") { bytes in
      let whole = WebSocketWords(bytes, inPieces: false)
      let dripped = WebSocketWords(bytes, inPieces: true)
      claim(whole == dripped, "messages in pieces are other messages")
      claim(whole.data.count <= bytes.count, "more was read than was sent")
    },
    FuzzTarget("URLs") { bytes in
      let text = String(decoding: bytes, as: UTF8.self)
      if let url = HTTPURL(text) {
        claim(HTTPURL(url.description) == url, "a URL is not what it says: \(url)")
      }
      _ = try ServerURL(text)
    },
    FuzzTarget("NodeState") { bytes in
      var entropy = Entropy(seed: 13)
      let state = try NodeState(parsing: bytes, using: &entropy)
      guard let again = try? NodeState(parsing: state.encoded, using: &entropy) else {
        fatalError("a state that was written is refused")
      }
      claim(again.machineKey == state.machineKey, "the machine key changes")
      claim(again.preferences == state.preferences, "the preferences change")
    },
    FuzzTarget("OSRelease") { bytes in
      let distribution = HostDescription.distribution(String(decoding: bytes, as: UTF8.self))
      claim(distribution.id.count <= 64, "a distribution with a long name")
    },
  ]
}

/// What a WebSocket client was understood to say.
private struct WebSocketWords: Hashable {
  var data: [UInt8] = []
  /// Beside the stream, and how much of the stream there was before.
  var events: [Int: [WebSocketDecoder.Event]] = [:]
  var violation: UInt16?

  init(_ bytes: [UInt8], inPieces: Bool) {
    var decoder = WebSocketDecoder()
    do throws(WebSocketDecoder.Violation) {
      for piece in inPieces ? bytes.map({ [$0] }) : [bytes] {
        decoder.append(piece)
        while let event = try decoder.next() {
          if case .data(let more) = event {
            data += more
          } else {
            events[data.count, default: []].append(event)
          }
        }
      }
    } catch { violation = error.code }
  }
}
