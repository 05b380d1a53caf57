// SPDX-License-Identifier: Apache-2.0

import Addressing
import Bytes
import Packets
import TestSupport

/// A conversation whose super-packets are made up, and cut in a plain way to compare with.
///
/// What the pieces should be is written down here a second time, byte by byte and without any code of
/// the product, so that cutting and joining do not only agree with each other.
struct RandomFlow {
  let isTCP: Bool
  let isV4: Bool
  let port: UInt16
  private let source: IPAddress
  private let destination: IPAddress
  private let options: [UInt8]
  private let trafficClass: UInt8
  private let hopLimit: UInt8
  private let mayBeFragmented: Bool
  private var identification: UInt16
  private var sequence: UInt32

  init(_ number: Int, from here: Node, to there: Node, _ random: inout SeededGenerator) {
    (isTCP, isV4) = (Bool.random(using: &random), Bool.random(using: &random))
    (source, destination) = isV4 ? (here.v4, there.v4) : (here.v6, there.v6)
    port = UInt16(1000 + number)
    let choices: [[UInt8]] = [
      [], [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2], [1, 1, 1, 1], [UInt8](repeating: 1, count: 40),
    ]
    options = choices.randomElement(using: &random) ?? []
    trafficClass = UInt8.random(in: 0...255, using: &random)
    hopLimit = UInt8.random(in: 1...255, using: &random)
    mayBeFragmented = Bool.random(using: &random)
    identification = UInt16.random(in: 0...UInt16.max, using: &random)
    sequence = UInt32.random(in: 0...UInt32.max, using: &random)
  }

  /// What the host hands over next, and what it is on the wire.
  mutating func next(
    _ random: inout SeededGenerator
  ) -> (packet: [UInt8], offload: OffloadHeader, wire: [[UInt8]]) {
    let sizes = [1, 2, 63, 64, 65, 536, 1000, 1150, Int.random(in: 1...1150, using: &random)]
    let size = sizes.randomElement(using: &random) ?? 64
    let most = min(60_000, size * 100)
    let isSingle = Int.random(in: 0..<3, using: &random) == 0
    let count = Int.random(in: 1...(isSingle ? size : most), using: &random)
    var payload = [UInt8](repeating: 0, count: count)
    for index in payload.indices { payload[index] = UInt8.random(in: 0...255, using: &random) }
    let ends: [TCPFlags] = [
      [], [], [.psh], [.fin], [.psh, .fin], [.cwr], [.ece], [TCPFlags(rawValue: 0x20)],
    ]
    let extra = ends.randomElement(using: &random) ?? []
    let pieces = stride(from: 0, to: count, by: size).map {
      Array(payload[$0..<min($0 + size, count)])
    }
    var wire: [[UInt8]] = []
    for (index, piece) in pieces.enumerated() {
      var flags = extra
      if index < pieces.count - 1 { flags.subtract([.psh, .fin]) }
      if index > 0 { flags.remove(.cwr) }
      wire.append(
        packet(
          piece,
          identification &+ UInt16(index),
          sequence &+ UInt32(index * size),
          flags.union(.ack),
          isFinished: true
        )
      )
    }
    let whole = packet(payload, identification, sequence, extra.union(.ack), isFinished: false)
    identification &+= UInt16(pieces.count)
    sequence &+= UInt32(count)
    let segmentation: OffloadHeader.Segmentation =
      pieces.count == 1 ? .none : isTCP ? (isV4 ? .tcpV4 : .tcpV6) : .udp
    let offload = OffloadHeader(
      needsChecksum: true,
      segmentation: segmentation,
      segmentSize: segmentation == .none ? 0 : size,
      checksumStart: isV4 ? 20 : 40,
      checksumOffset: isTCP ? 16 : 6
    )
    return (whole, offload, wire)
  }

  /// A whole packet; one that is not finished has the pseudo header's sum where its checksum goes.
  private func packet(
    _ payload: [UInt8],
    _ identification: UInt16,
    _ sequence: UInt32,
    _ flags: TCPFlags,
    isFinished: Bool
  ) -> [UInt8] {
    var upper = Self.big(443) + Self.big(port)
    if isTCP {
      upper += Self.big(UInt16(sequence >> 16)) + Self.big(UInt16(sequence & 0xFFFF))
      upper += [0, 0, 0, 9, UInt8((20 + options.count) / 4) << 4, flags.rawValue, 1, 2, 0, 0, 0, 0]
      upper += options
    } else {
      upper += Self.big(UInt16(8 + payload.count)) + [0, 0]
    }
    upper += payload
    let (proto, length): (UInt8, UInt16) = (isTCP ? 6 : 17, UInt16(upper.count))
    let pseudo =
      Self.bytes(source) + Self.bytes(destination) + Self.big(0) + Self.big(length) + [0, proto]
    let sum = isFinished ? ~Self.sum(pseudo + upper) : Self.sum(pseudo)
    let field = isTCP ? 16 : 6
    let isZero = sum == 0 && !isTCP && isFinished
    upper.replaceSubrange(field..<field + 2, with: Self.big(isZero ? 0xFFFF : sum))
    return header(proto, length, identification) + upper
  }

  private func header(_ proto: UInt8, _ length: UInt16, _ identification: UInt16) -> [UInt8] {
    guard isV4 else {
      return [0x60 | trafficClass >> 4, trafficClass << 4, 0xAB, 0xCD] + Self.big(length)
        + [proto, hopLimit] + Self.bytes(source) + Self.bytes(destination)
    }
    var header = [0x45, trafficClass] + Self.big(length + 20) + Self.big(identification)
    header += [mayBeFragmented ? 0 : 0x40, 0, hopLimit, proto, 0, 0]
    header += Self.bytes(source) + Self.bytes(destination)
    header.replaceSubrange(10..<12, with: Self.big(~Self.sum(header)))
    return header
  }

  private static func big(_ value: UInt16) -> [UInt8] { [UInt8(value >> 8), UInt8(value & 0xFF)] }

  private static func bytes(_ address: IPAddress) -> [UInt8] {
    var writer = ByteWriter()
    if address.isV4 {
      writer.bigEndian(address.v4Bits)
    } else {
      writer.bigEndian(address.high)
      writer.bigEndian(address.low)
    }
    return writer.bytes
  }

  /// The sum of the internet checksum, an odd end padded with a zero.
  private static func sum(_ bytes: [UInt8]) -> UInt16 {
    var total = 0
    for (index, byte) in bytes.enumerated() {
      total += index.isMultiple(of: 2) ? Int(byte) << 8 : Int(byte)
    }
    while total > 0xFFFF { total = total & 0xFFFF + total >> 16 }
    return UInt16(total)
  }
}
