// SPDX-License-Identifier: Apache-2.0

import Addressing
import ArgumentParser
import CommandLine
import HostIO
import Timing

/// `martlet-bench receive`: counts the datagrams that `send` sent.
struct ReceiveCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "receive",
    abstract: "Count UDP datagrams until they stop coming."
  )

  /// Trains received in one call.
  private static let batch = 32

  @Option(help: ArgumentHelp("Where they come in (0.0.0.0:9000).", valueName: "address:port"))
  var listen = "0.0.0.0:9000"
  @Option(
    help: ArgumentHelp("How long to wait for the first (10s).", valueName: "duration"),
    transform: settingValue
  )
  var patience = Duration.seconds(10)
  @Option(
    help: ArgumentHelp("After how much silence it is over (700ms).", valueName: "duration"),
    transform: settingValue
  )
  var silence = Duration.milliseconds(700)

  func run() throws {
    guard let endpoint = Endpoint(listen) else {
      throw CommandError.usage("--listen has to be an address and port")
    }
    let count = try hostCall { () throws(HostError) in try receive(at: endpoint) }
    report { writer in
      writer.number("received", count.datagrams)
      writer.number("late", count.late)
      writer.number("seconds", count.seconds)
    }
  }

  private func receive(at endpoint: Endpoint) throws(HostError) -> DatagramCount {
    var socket = try UDPSocket.bind(endpoint)
    var poller = try Poller()
    try poller.add(socket.rawDescriptor, token: 0)
    var batch = ReceiveBatch(capacity: Self.batch)
    var count = DatagramCount()
    while poller.wait(until: MonotonicClock.now() + (count.datagrams == 0 ? patience : silence)) > 0
    {
      while socket.receive(into: &batch) > 0 {
        let now = MonotonicClock.now()
        for index in 0..<batch.count {
          guard let train = batch.train(index) else { continue }
          // SAFETY: the bytes are read before the next receive.
          unsafe count.add(UnsafeRawBufferPointer(batch.bytes(index)), train.segmentSize, at: now)
        }
      }
    }
    return count
  }
}

/// What came, and how much of it after a later one.
struct DatagramCount {
  private(set) var datagrams = 0
  /// How many came after one that was sent later.
  private(set) var late = 0
  private var next: UInt64 = 0
  private var first: Instant?
  private var last = Instant.origin

  /// From the first to the last.
  var seconds: Double { first.map { (last - $0).inSeconds } ?? 0 }

  /// Counts the datagrams of a train by their numbers.
  mutating func add(_ bytes: UnsafeRawBufferPointer, _ segmentSize: Int, at now: Instant) {
    if first == nil { first = now }
    last = now
    var offset = 0
    while offset + 8 <= bytes.count {
      // SAFETY: eight bytes follow the offset.
      let number = unsafe UInt64(
        littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
      )
      if number < next { late += 1 } else { next = number &+ 1 }
      datagrams += 1
      offset += segmentSize
    }
  }
}
