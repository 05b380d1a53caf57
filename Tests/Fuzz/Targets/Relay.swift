// SPDX-License-Identifier: Apache-2.0

import Cryptography
import DERP
import Keys
import Timing

extension FuzzTarget {
  static let relay = [
    FuzzTarget("DERPFrames", seeds: ["Corpora/DERP"]) { bytes in
      for receiver in [FrameDecoder.Receiver.client, .relay, .strangersRelay] {
        var whole = FrameDecoder(for: receiver)
        var dripped = FrameDecoder(for: receiver)
        whole.append(bytes)
        let frames = all(of: &whole)
        var pieces: [Frame] = []
        for byte in bytes {
          dripped.append([byte])
          pieces += all(of: &dripped)
        }
        claim(pieces.starts(with: frames), "frames in pieces are other frames")
      }
    },
    FuzzTarget("DERPClient", seeds: ["Corpora/DERP"]) { bytes in
      var effects = ClientSession.Effects()
      var session = ClientSession(
        privateKey: secret(1),
        isHome: true,
        entropy: Entropy(seed: 7),
        at: Instant(nanoseconds: 0),
        into: &effects
      )
      for start in stride(from: 0, to: bytes.count, by: 11) {
        let piece = Array(bytes[start..<min(start + 11, bytes.count)])
        try session.receive(piece, at: Instant(nanoseconds: Int64(start)), into: &effects)
      }
      _ = session.send(
        [1, 2, 3][...],
        to: secret(2).publicKey,
        at: Instant(nanoseconds: 9),
        into: &effects
      )
    },
    // A session whose relay is proven: what it seals is read.
    FuzzTarget("DERPServerInfo") { bytes in
      _ = ServerInfo(json: bytes)
      _ = ClientInfo(json: bytes)
      _ = FastStart.serverKey(inCertificates: [[], bytes])
    },
    // Orders: two bits say which of four clients, the others what it does.
    FuzzTarget("RelaySwitch") { bytes in
      var world = SwitchWorld()
      for (order, body) in Script(bytes).prefix(256) { world.perform(order, body) }
      world.end()
    },
  ]

  private static func all(of decoder: inout FrameDecoder) -> [Frame] {
    var frames: [Frame] = []
    // A refusal ends the connection; what came before it counts.
    while let frame = try? decoder.next() { frames.append(frame) }
    return frames
  }

  fileprivate static func secret(_ number: UInt64) -> NodePrivateKey {
    var entropy = Entropy(seed: number)
    return .generate(using: &entropy)
  }
}

/// A switch with clients that do what the bytes say.
private struct SwitchWorld {
  private let keys = (0..<4).map { FuzzTarget.secret(UInt64($0)).publicKey }
  private var clients: [RelaySwitch.ClientID?] = [nil, nil, nil, nil]
  private var decoders = (0..<4).map { _ in FrameDecoder(for: .relay) }
  private var relay = RelaySwitch(entropy: Entropy(seed: 8))
  private var effects = RelaySwitch.Effects()
  private var now = Instant(nanoseconds: 0)

  mutating func perform(_ order: Int, _ body: [UInt8]) {
    let index = order & 3
    switch order >> 2 & 7 {
    case 0:
      clients[index] = relay.add(keys[index], at: now, into: &effects)
      decoders[index] = FrameDecoder(for: .relay)
    case 1:
      guard let id = clients[index] else { return }
      relay.remove(id, at: now, into: &effects)
      clients[index] = nil
    case 2:
      // What is addressed to a client that exists goes further than what is not.
      guard let id = clients[index], let to = body.first else { return }
      let frame = Frame.sendPacket(to: keys[Int(to & 3)], Array(body.dropFirst()))
      relay.receive(frame, from: id, at: now, into: &effects)
    case 3:
      now = now + .seconds(Int64(body.first ?? 1))
      relay.handleTimeouts(at: now, into: &effects)
    case 4:
      guard let id = clients[index] else { return }
      var output: [UInt8] = []
      _ = relay.takeOutput(of: id, upTo: 4096, into: &output)
      var reader = FrameDecoder(for: .client)
      reader.append(output)
      while true {
        do { if try reader.next() == nil { break } } catch {
          fatalError("the relay wrote \(error)")
        }
      }
    default:
      guard let id = clients[index] else { return }
      decoders[index].append(body)
      // What is refused ends the client's connection, as the server does it.
      do {
        while let frame = try decoders[index].next() {
          relay.receive(frame, from: id, at: now, into: &effects)
        }
      } catch {
        relay.remove(id, at: now, into: &effects)
        clients[index] = nil
      }
    }
    effects.removeAll()
  }

  mutating func end() {
    for id in clients.compactMap({ $0 }) { relay.remove(id, at: now, into: &effects) }
    claim(relay.counters.clients == 0, "clients are left behind: \(relay.counters.clients)")
    claim(relay.counters.homeClients == 0, "homes are left behind: \(relay.counters.homeClients)")
  }
}
