// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// An answer whose body is read as it comes.
package struct HTTPClientResponse: Sendable {
  /// 200 and so on.
  package let status: Int
  /// The header fields.
  package let headers: HTTPHeaders
  /// The body, piece by piece.
  package let body: HTTPBodySequence

  init(status: Int, headers: HTTPHeaders, body: HTTPBodySequence) {
    (self.status, self.headers, self.body) = (status, headers, body)
  }

  /// The whole body, of at most `limit` bytes.
  package func collect(upTo limit: Int) async throws -> [UInt8] {
    var bytes: [UInt8] = []
    for try await piece in body {
      guard bytes.count + piece.count <= limit else {
        body.cancel()
        throw HTTPTransportError(.tooLarge, "the answer is longer than \(limit) bytes")
      }
      bytes += piece
    }
    return bytes
  }
}

/// A body that is read piece by piece; read it once.
///
/// Whoever does not read to the end calls `cancel`, or lets go of it.
package final class HTTPBodySequence: AsyncSequence, Sendable {
  private let read: @Sendable () async throws -> [UInt8]?
  private let stop: @Sendable () -> Void

  init(
    read: @escaping @Sendable () async throws -> [UInt8]?,
    stop: @escaping @Sendable () -> Void
  ) {
    (self.read, self.stop) = (read, stop)
  }

  deinit { stop() }

  /// Ends the exchange; a reader that waits gets an error.
  package func cancel() { stop() }

  /// The next piece; nil at the end.
  ///
  /// - Throws: `CancellationError` in a task that is cancelled, also where more of the body is there.
  package func next() async throws -> [UInt8]? {
    try Task.checkCancellation()
    return try await read()
  }

  /// Reads the pieces from where the last reader stopped.
  package func makeAsyncIterator() -> Iterator { Iterator(body: self) }

  /// Reads the pieces of a body.
  package struct Iterator: AsyncIteratorProtocol {
    fileprivate let body: HTTPBodySequence

    /// The next piece; nil at the end.
    package mutating func next() async throws -> [UInt8]? { try await body.next() }
  }
}
