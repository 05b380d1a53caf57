// SPDX-License-Identifier: Apache-2.0

import Cryptography
import DERP
import Keys
import Timing

extension FuzzTarget {
  static let relay = [
    FuzzTarget("DERPFrames", seeds: ["Corpora/DERP"]) { bytes in
      for receiver in [FrameDecoder.Receiver.client, .relay, .strangersRelay, .watcher] {
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
      let world = SwitchWorld()
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

/// A relay with clients that do what the bytes say; the fourth is a relay of the same mesh.
private final class SwitchWorld {
  private final class Connection: RelayConnection {
    func outputWaits() {}
    func end(because reason: RelayClosing) {}
  }

  /// One reader's session, in a place that can be emptied.
  private final class Reader {
    var session: RelaySession
    init(_ session: consuming RelaySession) { self.session = session }
  }

  private let keys = (0..<4).map { FuzzTarget.secret(UInt64($0)).publicKey }
  private var clients: [Reader?] = [nil, nil, nil, nil]
  private let relay = Switchboard(entropy: Entropy(seed: 8), duplicates: .disableFighters)
  private var effects = RelayEffects()
  private var now = Instant(nanoseconds: 0)

  func perform(_ order: Int, _ body: [UInt8]) {
    let index = order & 3
    switch order >> 2 & 7 {
    case 0: add(index, as: Int(body.first ?? UInt8(index)) & 3)
    case 1: remove(index)
    case 2:
      // What is addressed to a client that exists goes further than what is not.
      guard let to = body.first else { return }
      let frame = Frame.sendPacket(to: keys[Int(to & 3)], Array(body.dropFirst()))
      receive(frame.bytes, index)
    case 3:
      now = now + .seconds(Int64(body.first ?? 1))
      relay.handleTimeouts(at: now, into: &effects)
    case 4: take(index)
    default: receive(body, index)
    }
    relay.settle(&effects)
  }

  private func add(_ index: Int, as key: Int) {
    remove(index)
    let introduction = RelayClient.Introduction(keys[key], isMesh: index == 3)
    let client = relay.add(introduction, Connection(), at: now, into: &effects)
    let limits = PeerLookupCache.Limits(entries: 2)
    let decoder = FrameDecoder(for: .strangersRelay)
    clients[index] = Reader(RelaySession(client, relay, decoder: decoder, cache: limits))
  }

  private func remove(_ index: Int) {
    clients[index]?.session.end(at: now, into: &effects)
    clients[index] = nil
  }

  private func receive(_ bytes: [UInt8], _ index: Int) {
    // What is refused ends the client's connection, as the server does it.
    do { _ = try clients[index]?.session.receive(bytes, at: now, into: &effects) } catch {
      remove(index)
    }
  }

  private func take(_ index: Int) {
    guard let client = clients[index]?.session.client else { return }
    var (output, counts) = ([UInt8](), RelayCounters())
    _ = client.takeOutput(upTo: 4096, at: now, into: &output, &counts)
    var reader = FrameDecoder(for: .watcher)
    reader.append(output)
    while true {
      do { if try reader.next() == nil { break } } catch {
        fatalError("the relay wrote \(error)")
      }
    }
  }

  func end() {
    for index in clients.indices { remove(index) }
    relay.settle(&effects)
    let counters = relay.counters
    claim(counters.clients == 0, "clients are left behind: \(counters.clients)")
    claim(counters.homeClients == 0, "homes are left behind: \(counters.homeClients)")
  }
}
