// SPDX-License-Identifier: Apache-2.0

import ControlProtocol
import Cryptography
import Keys

extension FuzzTarget {
  static let control = [
    FuzzTarget("MapResponse", seeds: ["Corpora/ControlProtocol", "Samples"]) {
      try checkJSON(MapResponse.self, $0)
    },
    FuzzTarget("MapRequest", seeds: ["Corpora/ControlProtocol", "Samples"]) {
      try checkJSON(MapRequest.self, $0)
    },
    FuzzTarget("RegisterRequest", seeds: ["Corpora/ControlProtocol"]) {
      try checkJSON(RegisterRequest.self, $0)
    },
    FuzzTarget("RegisterResponse", seeds: ["Corpora/ControlProtocol"]) {
      try checkJSON(RegisterResponse.self, $0)
    },
    FuzzTarget("ServerKeys") { bytes in
      try checkJSON(ServerKeys.self, bytes)
    },
    FuzzTarget("MapFrames") { bytes in
      for isCompressed in [false, true] {
        var decoder = MapFrameDecoder(compressed: isCompressed, maximumBytes: 1 << 16)
        var rest = bytes[...]
        do {
          while !rest.isEmpty {
            decoder.receive(Array(rest.prefix(7)))
            rest = rest.dropFirst(7)
            while try decoder.next() != nil {}
          }
        } catch {
          continue
        }
        claim(decoder.heldBytes <= 1 << 17, "more is held than a frame may have")
      }
    },
    FuzzTarget("ControlHandshake") { bytes in
      var entropy = Entropy(seed: 1)
      let server = MachinePrivateKey.generate(using: &entropy)
      let machine = MachinePrivateKey.generate(using: &entropy)
      let responder = ControlHandshake.Responder(privateKey: server)
      // Each side is asked by itself: the other's refusal is no reason to stop.
      if let accepted = try? responder.accept(bytes, entropy: &entropy) {
        claim(!accepted.response.isEmpty, "an accepted handshake is answered")
      }
      let initiator = try ControlHandshake.Initiator(
        machineKey: machine,
        serverKey: server.publicKey,
        entropy: &entropy
      )
      _ = ControlHandshake.Initiator.messageCount(bytes)
      _ = try initiator.finish(bytes)
    },
    FuzzTarget("ControlCipher") { bytes in
      var entropy = Entropy(seed: 2)
      let server = MachinePrivateKey.generate(using: &entropy)
      let initiator = try ControlHandshake.Initiator(
        machineKey: .generate(using: &entropy),
        serverKey: server.publicKey,
        entropy: &entropy
      )
      let accepted = try ControlHandshake.Responder(privateKey: server)
        .accept(initiator.initiation, entropy: &entropy)
      var sender = try initiator.finish(accepted.response)
      var receiver = accepted.cipher
      var isGenuine = true
      for (order, body) in Script(bytes) {
        // Even orders are sealed as they should be and cut in two, odd ones are strangers' bytes.
        if !order.isMultiple(of: 2), !body.isEmpty { isGenuine = false }
        let sealed = order.isMultiple(of: 2) ? try sender.seal(body) : body
        let half = sealed.count / 2
        let opened = try receiver.open(Array(sealed.prefix(half)))
        let rest = try receiver.open(Array(sealed.dropFirst(half)))
        claim(opened + rest == (isGenuine ? body : []), "what was sealed is not what was opened")
      }
    },
    FuzzTarget("EarlyNoise") { bytes in
      var reader = EarlyNoiseReader()
      for byte in bytes { _ = try reader.receive([byte]) }
    },
  ]
}
