// SPDX-License-Identifier: Apache-2.0

import Addressing
import ArgumentParser
import Bytes
import CommandLine
import HostIO
import JSON
import Keys
import Timing

/// `martlet-bench handshakes`: begins WireGuard handshakes with a daemon from many peers.
///
/// Every initiation is honest: its own ephemeral key, a stamp later than the one before. All are made
/// before the first is sent. The rate stays below where a daemon asks for cookies: what a handshake
/// costs it is read from its processor time.
struct HandshakesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "handshakes",
    abstract: "Begin handshakes with a WireGuard daemon from many peers.",
    discussion: """
      The daemon must know the peers: with --keys their public keys are printed, in base 64, and \
      nothing is sent.
      """
  )

  private static let peersMaximum = 4096
  /// How many initiations leave together.
  private static let burst = 8
  /// How long the last responses are waited for.
  private static let patience = Duration.milliseconds(500)
  private static let responseType: UInt32 = 2
  private static let cookieType: UInt32 = 3

  @Option(help: ArgumentHelp("How many peers there are (64).", valueName: "n"))
  var peers = 64
  @Option(help: .yesNo("Print the peers' public keys instead."))
  var keys: Bool?
  @Option(help: ArgumentHelp("Where the daemon listens.", valueName: "address:port"))
  var to: String?
  @Option(help: ArgumentHelp("The daemon's public key, in base 64.", valueName: "key"))
  var key: String?
  @Option(
    help: ArgumentHelp("Where from (0.0.0.0:51900).", valueName: "address:port")
  )
  var from = "0.0.0.0:51900"
  @Option(help: ArgumentHelp("How many handshakes each peer begins (10).", valueName: "n"))
  var rounds = 10
  @Option(help: ArgumentHelp("How many are begun a second, by all (200).", valueName: "n"))
  var rate = 200

  func run() throws {
    guard (1...Self.peersMaximum).contains(peers), (1...1000).contains(rounds), rate > 0 else {
      throw CommandError.usage("--peers is from 1 to \(Self.peersMaximum), --rounds to 1000")
    }
    let bench = BenchPeers(count: peers)
    guard keys != true else { return printKeys(bench) }
    guard let to, let endpoint = Endpoint(to), let source = Endpoint(from),
      let key, let responder = Base64.decode(key).flatMap({ NodeKey(bytes: $0) })
    else { throw CommandError.usage("--to and --key have to tell whom to speak to") }
    let initiations = bench.initiations(to: responder, rounds: rounds, from: wallClock())
    let told = try hostCall { () throws(HostError) in
      try flood(initiations, to: endpoint, from: source)
    }
    report { writer in
      writer.number("begun", initiations.count)
      writer.number("answered", told.answered)
      writer.number("cookies", told.cookies)
      writer.number("seconds", told.seconds)
    }
  }

  private func printKeys(_ bench: BenchPeers) {
    report { writer in
      writer.name("keys")
      writer.array { writer in
        for key in bench.keys { writer.string(Base64.encode(key.publicKey.bytes)) }
      }
    }
  }

  private struct Told {
    var answered = 0
    var cookies = 0
    var seconds = 0.0
  }

  private func flood(
    _ initiations: [BenchPeers.Initiation],
    to endpoint: Endpoint,
    from source: Endpoint
  ) throws(HostError) -> Told {
    var socket = try UDPSocket.bind(source)
    var poller = try Poller()
    try poller.add(socket.rawDescriptor, token: 0)
    var waiting = Set(initiations.map(\.index))
    var told = Told()
    let begun = MonotonicClock.now()
    let pause = Duration.seconds(1) * Self.burst / rate
    var next = begun
    var buffer = [UInt8](repeating: 0, count: UDPSocket.receiveCapacity)
    for start in stride(from: 0, to: initiations.count, by: Self.burst) {
      for initiation in initiations[start..<min(start + Self.burst, initiations.count)] {
        // SAFETY: the bytes outlive the call.
        _ = unsafe initiation.bytes.withUnsafeBytes {
          unsafe socket.send($0, segmentSize: 0, to: endpoint)
        }
      }
      next = next + pause
      while MonotonicClock.now() < next, poller.wait(until: next) > 0 {
        Self.receive(&socket, &buffer, &waiting, &told)
      }
    }
    told.seconds = (MonotonicClock.now() - begun).inSeconds
    let end = MonotonicClock.now() + Self.patience
    while !waiting.isEmpty, poller.wait(until: end) > 0 {
      Self.receive(&socket, &buffer, &waiting, &told)
    }
    return told
  }

  private static func receive(
    _ socket: inout UDPSocket,
    _ buffer: inout [UInt8],
    _ waiting: inout Set<UInt32>,
    _ told: inout Told
  ) {
    while true {
      let received = unsafe buffer.withUnsafeMutableBytes { bytes in
        // SAFETY: the buffer outlives the call.
        unsafe socket.receive(into: bytes)
      }
      guard let received else { return }
      for start in stride(from: 0, to: received.count, by: received.segmentSize) {
        let message = buffer[start..<min(start + received.segmentSize, received.count)]
        guard message.count >= 12 else { continue }
        switch word(message, at: 0) {
        case responseType: if waiting.remove(word(message, at: 8)) != nil { told.answered += 1 }
        case cookieType: told.cookies += 1
        default: break
        }
      }
    }
  }
}
