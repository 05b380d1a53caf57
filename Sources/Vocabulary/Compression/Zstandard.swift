// SPDX-License-Identifier: Apache-2.0

import CZstandard

/// A compressed frame could not be read.
public enum CompressionError: Error, Hashable, Sendable {
  /// The frame is damaged, truncated or not zstd.
  case malformed
  /// The content would be larger than allowed.
  case tooLarge(limit: Int)
}

/// Zstandard frames, bounded.
///
/// - Source: RFC 8878.
public enum Zstandard {
  /// One frame that holds `bytes`; level 1 is fast, 19 small.
  public static func compress(_ bytes: [UInt8], level: Int32 = 1) -> [UInt8] {
    var frame = [UInt8](repeating: 0, count: ZSTD_compressBound(bytes.count))
    // SAFETY: the frame has the room that `ZSTD_compressBound` asks for.
    let written = unsafe ZSTD_compress(&frame, frame.count, bytes, bytes.count, level)
    precondition(ZSTD_isError(written) == 0, "compressing into enough room cannot fail")
    frame.removeLast(frame.count - written)
    return frame
  }

  /// The content of one or more whole frames, with or without a content size in the header.
  ///
  /// - Throws: `CompressionError.tooLarge` as soon as `limit` bytes are passed; nothing larger is
  ///   ever allocated, whatever the header claims.
  public static func decompress(
    _ frames: [UInt8],
    limit: Int
  ) throws(CompressionError) -> [UInt8] {
    // SAFETY: the stream is freed at the end of this call; input and output are passed with counts
    // and positions that the library keeps within them.
    guard let stream = unsafe ZSTD_createDStream() else { throw .malformed }
    defer { unsafe _ = ZSTD_freeDStream(stream) }
    var content: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: min(max(limit, 1), 128 << 10))
    var position = 0
    var remainder = 1
    while position < frames.count || remainder != 0 {
      var written = 0
      let consumed = position
      remainder = unsafe frames.withUnsafeBytes { source in
        unsafe piece.withUnsafeMutableBytes { target in
          var input = unsafe ZSTD_inBuffer(
            src: source.baseAddress,
            size: source.count,
            pos: position
          )
          var output = unsafe ZSTD_outBuffer(dst: target.baseAddress, size: target.count, pos: 0)
          let left = unsafe ZSTD_decompressStream(stream, &output, &input)
          position = unsafe input.pos
          written = unsafe output.pos
          return left
        }
      }
      guard ZSTD_isError(remainder) == 0 else { throw .malformed }
      guard content.count + written <= limit else { throw .tooLarge(limit: limit) }
      content += piece.prefix(written)
      if position == consumed, written == 0 { throw .malformed }
    }
    return content
  }
}
