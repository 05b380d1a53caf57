// SPDX-License-Identifier: Apache-2.0

import Keys

/// Takes a stream of bytes apart into frames, in pieces of any size.
///
/// Holds at most one unfinished frame: a kind that may not be as long as announced is refused by
/// its header alone. Kinds that are unknown, or not for the receiver, are passed over without being
/// kept.
public struct FrameDecoder: Sendable {
  /// Who receives the frames.
  public enum Receiver: Hashable, Sendable {
    /// A client, from its relay.
    case client
    /// A relay, from somebody who has not told who they are yet.
    case strangersRelay
    /// A relay, from an admitted client.
    case relay
    /// A relay, from another of its mesh, which it watches.
    case watcher
  }

  /// The longest frame that is passed over, and that a client takes.
  public static let maximumLength = 1 << 20
  /// The longest description that a relay reads of a client.
  ///
  /// Clients send less than a thousand bytes. Strangers may send it, so every connection must be
  /// able to hold one.
  public static let maximumClientInfo = 16 << 10
  /// The longest first frame of a relay.
  public static let maximumServerKey = 1 << 10
  /// The longest description of a client that another relay gives.
  public static let maximumPresence = 1 << 10
  /// The longest ping.
  public static let maximumPing = 1000

  /// Who receives the frames; a relay changes it when the client is admitted.
  public var receiver: Receiver
  /// How many frames were passed over.
  public private(set) var passedOver = 0

  private var buffer: [UInt8] = []
  private var position = 0
  private var skipping = 0

  /// A decoder at the start of a stream.
  public init(for receiver: Receiver) { self.receiver = receiver }

  /// Takes in what was received.
  public mutating func append(_ bytes: [UInt8]) {
    if position == buffer.count {
      buffer = bytes
    } else {
      buffer.removeFirst(position)
      buffer += bytes
    }
    position = 0
  }

  /// Gives back the memory of what was taken, where nothing is left of it.
  mutating func releaseTaken() {
    guard position == buffer.count else { return }
    (buffer, position) = ([], 0)
  }

  /// The next frame; nil when it is not whole yet.
  ///
  /// - Throws: `FrameError`; the stream is then of no more use.
  public mutating func next() throws(FrameError) -> Frame? {
    guard let (kind, range) = try nextRange() else { return nil }
    return try Frame(kind, buffer[range])
  }

  /// Where the payload of the next frame is, until more is appended; nil when it is not whole yet.
  mutating func nextRange() throws(FrameError) -> (Frame.Kind, Range<Int>)? {
    while true {
      skip()
      guard skipping == 0, buffer.count - position >= Frame.headerSize else { return nil }
      let byte = buffer[position]
      let length = announcedLength()
      guard let kind = Frame.Kind(rawValue: byte), let bounds = bounds(of: kind) else {
        guard length <= Self.maximumLength else { throw .tooLong(kind: byte, length: length) }
        skipping = Frame.headerSize + length
        passedOver += 1
        continue
      }
      guard length >= bounds.lowerBound else { throw .tooShort(kind: byte, length: length) }
      guard length <= bounds.upperBound else { throw .tooLong(kind: byte, length: length) }
      let start = position + Frame.headerSize
      guard buffer.count - start >= length else { return nil }
      position = start + length
      return (kind, start..<position)
    }
  }

  /// The payload that `nextRange` found.
  func bytes(in range: Range<Int>) -> ArraySlice<UInt8> { buffer[range] }

  /// The key and the packet of a payload that begins with a key.
  func takePacket(in range: Range<Int>) -> (NodeKey, [UInt8]) {
    precondition(range.count >= 32 && range.upperBound <= buffer.count, "a packet has a key")
    let start = range.lowerBound
    // SAFETY: the 32 bytes of the key are within the buffer.
    let key = unsafe buffer.withUnsafeBytes { bytes in
      func word(_ index: Int) -> UInt64 {
        unsafe bytes.loadUnaligned(fromByteOffset: start + 8 * index, as: UInt64.self).bigEndian
      }
      return NodeKey(words: (word(0), word(1), word(2), word(3)))
    }
    return (key, Array(buffer[(start + 32)..<range.upperBound]))
  }

  private mutating func skip() {
    let here = min(skipping, buffer.count - position)
    position += here
    skipping -= here
  }

  private func announcedLength() -> Int {
    let high = Int(buffer[position + 1]) << 24 | Int(buffer[position + 2]) << 16
    return high | Int(buffer[position + 3]) << 8 | Int(buffer[position + 4])
  }

  /// How long a frame of this kind may be; nil when it is not for the receiver.
  private func bounds(of kind: Frame.Kind) -> ClosedRange<Int>? {
    switch receiver {
    case .strangersRelay: kind == .clientInfo ? 32 + 24 + 16...Self.maximumClientInfo : nil
    case .relay: Self.relayBounds(of: kind)
    case .client: Self.clientBounds(of: kind)
    case .watcher: kind == .peerPresent ? 32...Self.maximumPresence : Self.clientBounds(of: kind)
    }
  }

  private static func relayBounds(of kind: Frame.Kind) -> ClosedRange<Int>? {
    switch kind {
    case .sendPacket: 32...32 + Frame.maximumPacketSize
    case .forwardPacket: 64...64 + Frame.maximumPacketSize
    case .notePreferred: 1...1
    case .watchConnections: 0...0
    case .closePeer: 32...32
    case .ping, .pong: 8...maximumPing
    default: nil
    }
  }

  private static func clientBounds(of kind: Frame.Kind) -> ClosedRange<Int>? {
    switch kind {
    case .serverKey: 40...maximumServerKey
    case .serverInfo: 24 + 16...24 + maximumLength
    case .receivePacket: 32...maximumLength
    case .keepAlive: 0...maximumLength
    case .peerGone: 32...maximumLength
    case .ping, .pong: 8...maximumLength
    case .health: 0...maximumLength
    case .restarting: 8...maximumLength
    default: nil
    }
  }
}
