// SPDX-License-Identifier: Apache-2.0

package import HTTPTransport
import Synchronization

/// What an authority may look at to see that a name leads to us.
///
/// Whoever answers plain HTTP at port 80 of the name asks here what stands at a path; whoever answers
/// TLS at its port 443 shows the certificate that answers.
package final class ACMEChallenges: Sendable {
  /// Where the pages are.
  static let path = "/.well-known/acme-challenge/"

  private struct Shown {
    var pages: [String: String] = [:]
    var answer: OwnCertificate?
    var changed: (@Sendable () -> Void)?
  }

  private let shown = Mutex(Shown())

  /// Nothing to look at.
  package init() {}

  /// What stands at a path; nil where it is no such page.
  package func page(at path: Substring) -> String? {
    guard path.hasPrefix(Self.path) else { return nil }
    return shown.withLock { $0.pages[String(path.dropFirst(Self.path.count))] }
  }

  /// The certificate for who asks for the answer to a challenge; nil where there is none.
  package var answer: OwnCertificate? { shown.withLock { $0.answer } }

  /// Calls `body` whenever there is another answer, before the authority looks for it.
  package func whenAnswerChanges(_ body: @escaping @Sendable () -> Void) {
    shown.withLock { $0.changed = body }
  }

  func show(_ text: String, at token: String) { shown.withLock { $0.pages[token] = text } }

  func remove(_ token: String) { shown.withLock { $0.pages[token] = nil } }

  func answer(with certificate: OwnCertificate?) {
    let changed = shown.withLock { shown in
      shown.answer = certificate
      return shown.changed
    }
    changed?()
  }
}
