// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// The pages by which an authority sees that a name leads to us.
///
/// Whoever answers plain HTTP at port 80 of the name asks here what stands at a path.
package final class ACMEChallenges: Sendable {
  /// Where the pages are.
  static let path = "/.well-known/acme-challenge/"

  private let pages = Mutex<[String: String]>([:])

  /// No pages.
  package init() {}

  /// What stands at a path; nil where it is no such page.
  package func page(at path: Substring) -> String? {
    guard path.hasPrefix(Self.path) else { return nil }
    return pages.withLock { $0[String(path.dropFirst(Self.path.count))] }
  }

  func show(_ text: String, at token: String) { pages.withLock { $0[token] = text } }

  func remove(_ token: String) { pages.withLock { $0[token] = nil } }
}
