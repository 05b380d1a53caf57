// SPDX-License-Identifier: Apache-2.0

import ControlProtocol
import ControlSession
import Coordination
import Cryptography
import DERP
import JSON
import Keys
import LocalAPI
import Netmap
import NodeConfiguration
import Timing

extension FuzzTarget {
  private static let wall = Timestamp(seconds: 1_800_000_000)

  static let session = [
    // Orders: the map as it comes, one JSON response each; what follows from it is compiled.
    FuzzTarget("Netmap") { bytes in
      var entropy = Entropy(seed: 3)
      let key = NodePrivateKey.generate(using: &entropy)
      var netmap = NetworkMap()
      for (order, body) in Script(bytes) {
        if order & 1 != 0 { netmap.beginStream() }
        guard let response = try? MapResponse(json: body) else { continue }
        _ = netmap.apply(response, at: wall)
        _ = NodeConfiguration.compile(
          netmap,
          Preferences(),
          on: NodeConfiguration.Ground(nodeKey: key),
          at: wall
        )
        for peer in netmap.peers {
          claim(netmap.peer(peer.id) == peer, "a peer is not found by its number")
          _ = netmap.isExpired(peer, at: wall)
        }
      }
      claim(netmap.peersByID.count <= NetworkMap.maximumPeers, "more peers than there may be")
    },
    FuzzTarget("RelayMap") { bytes in
      _ = RelayMap(try DERPMap(json: bytes))
    },
    FuzzTarget("MapPoll") { bytes in
      var poll = MapPoll(
        as: .zero,
        compressed: bytes.first.map { $0 & 1 != 0 } ?? false,
        maximumBytes: 1 << 16,
        at: Instant(nanoseconds: 0)
      )
      for byte in bytes.dropFirst() {
        _ = try poll.receive([byte], at: Instant(nanoseconds: 1))
      }
      try poll.finish()
    },
    FuzzTarget("Registration", seeds: ["Corpora/ControlProtocol"]) { bytes in
      var registration = Registration(nodeKey: .zero, hostinfo: Hostinfo())
      _ = registration.receive(try RegisterResponse(json: bytes))
      claim(isPlain(registration.page?.description ?? ""), "a page that moves the cursor")
      _ = registration.request()
    },
    FuzzTarget("ServerWords") { bytes in
      var entropy = Entropy(seed: 4)
      let text = String(decoding: bytes, as: UTF8.self)
      for status in [401, 429, 503] {
        let refusal = ServerRefusal(
          status: status,
          body: bytes,
          retryAfter: text,
          at: wall,
          using: &entropy
        )
        claim(isPlain(refusal.description), "a refusal that moves the cursor")
      }
      if let page = LoginPage(text) { claim(isPlain(page.description), "a page of other letters") }
    },
    FuzzTarget("NodeNames") { bytes in
      let text = String(decoding: bytes, as: UTF8.self)
      claim(NodeName.isLabel(NodeName.sanitized(text)), "a name that is no label")
      let shown = NodeName.printable(text)
      claim(isPlain(shown), "a name that moves the cursor")
      _ = try NodeName.chosen(text)
      _ = try Tag.valid([text])
    },
  ]

  /// Whether a terminal shows it on its line and nowhere else.
  private static func isPlain(_ text: String) -> Bool {
    text.unicodeScalars.allSatisfy { $0.properties.generalCategory != .control }
  }
}
