// SPDX-License-Identifier: Apache-2.0

import HTTPTransport
import LocalAPI

/// The messages of the bus, one a line.
struct BusWatch: AsyncSequence {
  /// The longest line that is read.
  private static let maximumLineBytes = 256 << 20

  private let body: HTTPBodySequence
  private let client: LocalClient

  init(_ body: HTTPBodySequence, _ client: LocalClient) {
    (self.body, self.client) = (body, client)
  }

  func makeAsyncIterator() -> Iterator { Iterator(body: body, client: client) }

  struct Iterator: AsyncIteratorProtocol {
    let body: HTTPBodySequence
    let client: LocalClient
    private var waiting: [UInt8] = []

    init(body: HTTPBodySequence, client: LocalClient) {
      (self.body, self.client) = (body, client)
    }

    /// The next message; nil when the daemon ended.
    mutating func next() async throws -> Notification? {
      var scanned = 0
      while true {
        if let end = waiting[scanned...].firstIndex(of: 0x0A) {
          defer { waiting.removeSubrange(...end) }
          return try client.read(Array(waiting[..<end]))
        }
        scanned = waiting.count
        guard scanned <= BusWatch.maximumLineBytes, let piece = try await body.next() else {
          return nil
        }
        waiting += piece
      }
    }
  }
}
