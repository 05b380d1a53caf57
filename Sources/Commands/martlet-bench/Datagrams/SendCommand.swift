// SPDX-License-Identifier: Apache-2.0

import Addressing
import ArgumentParser
import CommandLine
import HostIO
import Timing

/// `martlet-bench send`: UDP datagrams at a steady rate.
///
/// Single datagrams, many a call, as an application without segmentation offload sends them. The
/// pace is kept by sleeping between short bursts, not by spinning: the cores belong to what is
/// measured.
struct SendCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "send",
    abstract: "Send UDP datagrams at a rate."
  )

  /// How long it sleeps between bursts.
  static let pause = Duration.microseconds(500)

  @Option(help: ArgumentHelp("Where they go.", valueName: "address:port"))
  var to: String
  @Option(help: ArgumentHelp("Bytes of payload in each, 8 to 65507 (64).", valueName: "bytes"))
  var size = 64
  @Option(help: ArgumentHelp("How many a second; 0 for all it can (0).", valueName: "n"))
  var rate = 0
  @Option(
    help: ArgumentHelp("For how long (3s).", valueName: "duration"),
    transform: settingValue
  )
  var duration = Duration.seconds(3)

  func run() throws {
    guard let endpoint = Endpoint(to) else {
      throw CommandError.usage("--to has to be an address and port")
    }
    guard (8...65_507).contains(size), rate >= 0, duration > .zero else {
      throw CommandError.usage("--size is from 8 to 65507, --rate is not negative")
    }
    var sender = try hostCall { () throws(HostError) in
      try DatagramSender(to: endpoint, size: size)
    }
    let begun = MonotonicClock.now()
    let end = begun + duration
    var now = begun
    while now < end {
      let due = rate == 0 ? Int.max : Int((now - begun).inSeconds * Double(rate))
      let burst = min(due - sender.offered, rate == 0 ? DatagramSender.batch : Int.max)
      if burst > 0 { sender.send(burst) }
      now = MonotonicClock.now()
      if rate > 0 {
        sender.rest(until: min(now + Self.pause, end))
        now = MonotonicClock.now()
      }
    }
    report { writer in
      writer.number("offered", sender.offered)
      writer.number("refused", sender.refused)
      writer.number("seconds", (now - begun).inSeconds)
    }
  }
}

/// A socket that sends numbered datagrams of one size to one place.
struct DatagramSender: ~Copyable {
  /// How many leave in one call.
  static let batch = SendBatch.maximumCount

  /// How many datagrams were given to the kernel.
  private(set) var offered = 0
  /// How many of them the kernel did not take.
  private(set) var refused = 0
  private var socket: UDPSocket
  private var poller: Poller
  private var list = SendBatch()
  private var arena: [UInt8]
  private let endpoint: Endpoint
  private let size: Int

  init(to endpoint: Endpoint, size: Int) throws(HostError) {
    let any = endpoint.address.isV4 ? IPAddress(0, 0, 0, 0) : IPAddress(high: 0, low: 0)
    let poller = try Poller()
    socket = try UDPSocket.bind(Endpoint(any, port: 0))
    self.poller = poller
    arena = [UInt8](repeating: 0x5A, count: Self.batch * size)
    (self.endpoint, self.size) = (endpoint, size)
  }

  /// Sleeps.
  mutating func rest(until deadline: Instant) { _ = poller.wait(until: deadline) }

  /// Sends `count` datagrams, each with its number in front.
  mutating func send(_ count: Int) {
    var left = count
    while left > 0 {
      let one = min(left, Self.batch)
      prepare(one)
      let result = unsafe arena.withUnsafeBytes { bytes in
        // SAFETY: the batch's ranges lie within the arena, which outlives the call.
        unsafe socket.send(list, from: bytes)
      }
      offered += one
      refused += one - result.sent
      left -= one
    }
  }

  private mutating func prepare(_ count: Int) {
    list.removeAll()
    for index in 0..<count {
      let start = index * size
      var number = UInt64(offered + index)
      for byte in 0..<8 {
        arena[start + byte] = UInt8(truncatingIfNeeded: number)
        number >>= 8
      }
      _ = list.append(start..<start + size, segmentSize: 0, to: endpoint)
    }
  }
}
