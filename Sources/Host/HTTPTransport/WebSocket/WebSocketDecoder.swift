// SPDX-License-Identifier: Apache-2.0

/// Reads what a WebSocket client sends, as a stream of bytes with a few messages beside it.
///
/// Where one message ends and the next begins is of no meaning here: bytes are passed on as they
/// come, so that nothing but the header of a frame and a short control message ever waits.
///
///      0               1               2 ...
///     +-+-+-+-+-------+-+-------------+----------------+-----------+--------
///     |F|R|R|R| kind  |M| length 0-125| 126: 2 more    | masking   | bytes,
///     |I|S|S|S|       |A| or 126, 127 | 127: 8 more    | key 4     | masked
///     |N|V|V|V|       |S|             | big-endian     |           |
///     +-+-+-+-+-------+-+-------------+----------------+-----------+--------
///
/// - Source: RFC 6455 §5.
struct WebSocketDecoder: Sendable {
  /// The longest message, in however many frames it comes.
  static let maximumMessage = 1 << 20
  /// The longest control message.
  static let maximumControl = 125

  /// What the client said.
  enum Event: Hashable, Sendable {
    /// Bytes of its stream.
    case data([UInt8])
    /// It wants these bytes back.
    case ping([UInt8])
    /// It answered a ping.
    case pong
    /// It is done; `code` says why, if it said so.
    case close(code: UInt16?)
  }

  /// What the client did that it must not do, and what it is told of it.
  struct Violation: Error, Hashable {
    let code: UInt16
    let what: String

    static func malformed(_ what: String) -> Violation { Violation(code: 1002, what: what) }
  }

  private struct Header {
    var kind: UInt8
    var isFinal: Bool
    var length: Int
    var mask: (UInt8, UInt8, UInt8, UInt8)
    var isControl: Bool { kind & 8 != 0 }
  }

  private enum Kind {
    static let continuation: UInt8 = 0
    static let text: UInt8 = 1
    static let binary: UInt8 = 2
    static let close: UInt8 = 8
    static let ping: UInt8 = 9
    static let pong: UInt8 = 10
  }

  private var waiting: [UInt8] = []
  private var position = 0
  /// The frame whose bytes are being read, and how many of them were.
  private var frame: (header: Header, done: Int)?
  /// How long the unfinished message is; nil between two.
  private var message: Int?
  private var isClosed = false

  /// Takes what was received.
  mutating func append(_ bytes: [UInt8]) {
    guard !isClosed else { return }
    if position > 0 { waiting.removeFirst(position) }
    position = 0
    waiting += bytes
  }

  /// What was said next; nil until more is received, and for good after the client closed.
  mutating func next() throws(Violation) -> Event? {
    while !isClosed {
      if let (header, done) = frame {
        if !header.isControl {
          guard let bytes = takeData(header, done) else { return nil }
          if bytes.isEmpty { continue }
          return .data(bytes)
        }
        guard available >= header.length else { return nil }
        frame = nil
        return try control(header.kind, unmasked(take(header.length), header.mask, from: 0))
      }
      guard let header = try nextHeader() else { return nil }
      frame = (header, 0)
    }
    return nil
  }

  private var available: Int { waiting.count - position }

  private mutating func take(_ count: Int) -> ArraySlice<UInt8> {
    defer { position += count }
    return waiting[position..<position + count]
  }

  private func unmasked(
    _ bytes: ArraySlice<UInt8>,
    _ mask: (UInt8, UInt8, UInt8, UInt8),
    from offset: Int
  ) -> [UInt8] {
    let key = [mask.0, mask.1, mask.2, mask.3]
    var plain = Array(bytes)
    for index in plain.indices { plain[index] ^= key[(offset + index) & 3] }
    return plain
  }

  /// The bytes that are there of a frame; nothing when it is over, nil when there are none yet.
  private mutating func takeData(_ header: Header, _ done: Int) -> [UInt8]? {
    let count = min(available, header.length - done)
    if done + count == header.length {
      frame = nil
      if header.isFinal { message = nil }
    } else {
      guard count > 0 else { return nil }
      frame = (header, done + count)
    }
    return unmasked(take(count), header.mask, from: done)
  }

  private mutating func control(_ kind: UInt8, _ bytes: [UInt8]) throws(Violation) -> Event {
    switch kind {
    case Kind.ping: return .ping(bytes)
    case Kind.pong: return .pong
    default:
      isClosed = true
      (waiting, position) = ([], 0)
      return .close(code: try Self.closeCode(bytes))
    }
  }

  private static func closeCode(_ bytes: [UInt8]) throws(Violation) -> UInt16? {
    guard !bytes.isEmpty else { return nil }
    guard bytes.count >= 2 else { throw .malformed("half a code where it closed") }
    let code = UInt16(bytes[0]) << 8 | UInt16(bytes[1])
    switch code {
    case 1000...1003, 1007...1014, 3000...4999: break
    default: throw .malformed("code \(code) where it closed")
    }
    guard String(validating: bytes[2...], as: UTF8.self) != nil else {
      throw Violation(code: 1007, what: "a reason that is no text where it closed")
    }
    return code
  }

  // MARK: Headers

  /// The header of the next frame, once it is there; what is wrong is refused as soon as it shows.
  private mutating func nextHeader() throws(Violation) -> Header? {
    guard available >= 2 else { return nil }
    let (first, second) = (waiting[position], waiting[position + 1])
    let (kind, isFinal) = (first & 0x0F, first & 0x80 != 0)
    guard first & 0x70 == 0 else { throw .malformed("an extension that was not agreed on") }
    guard second & 0x80 != 0 else { throw .malformed("a frame without a mask") }
    try check(kind, isFinal: isFinal)
    let short = Int(second & 0x7F)
    let isControl = kind & 8 != 0
    guard !isControl || short <= Self.maximumControl else {
      throw .malformed("a control message of more than \(Self.maximumControl) bytes")
    }
    let width = short < 126 ? 0 : short == 126 ? 2 : 8
    guard available >= 2 + width else { return nil }
    let length = try length(short, width)
    if !isControl, length > Self.maximumMessage - (message ?? 0) {
      throw Violation(code: 1009, what: "a message of more than \(Self.maximumMessage) bytes")
    }
    guard available >= 6 + width else { return nil }
    let mask = position + 2 + width
    let header = Header(
      kind: kind,
      isFinal: isFinal,
      length: length,
      mask: (waiting[mask], waiting[mask + 1], waiting[mask + 2], waiting[mask + 3])
    )
    position = mask + 4
    if !isControl { message = (message ?? 0) + length }
    return header
  }

  private func check(_ kind: UInt8, isFinal: Bool) throws(Violation) {
    switch kind {
    case Kind.continuation:
      guard message != nil else { throw .malformed("the rest of a message that never began") }
    case Kind.binary:
      guard message == nil else { throw .malformed("a message within another") }
    case Kind.text: throw Violation(code: 1003, what: "text, where only bytes are spoken")
    case Kind.close, Kind.ping, Kind.pong:
      guard isFinal else { throw .malformed("a control message in pieces") }
    default: throw .malformed("a frame of a kind that nobody knows")
    }
  }

  private func length(_ short: Int, _ width: Int) throws(Violation) -> Int {
    guard width > 0 else { return short }
    var long: UInt64 = 0
    for index in 0..<width { long = long << 8 | UInt64(waiting[position + 2 + index]) }
    guard long >= (width == 2 ? 126 : 65_536) else {
      throw .malformed("a length in more bytes than it needs")
    }
    guard long >> 63 == 0 else { throw .malformed("a length of more than 63 bits") }
    return Int(clamping: long)
  }
}
