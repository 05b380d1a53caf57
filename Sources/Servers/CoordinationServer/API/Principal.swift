// SPDX-License-Identifier: Apache-2.0

internal import Bytes
internal import Coordination
internal import HTTPTransport

/// Who calls the API.
enum Principal: Sendable {
  /// Somebody on this machine who may do everything: the socket lets nobody else in.
  case local(user: UInt32)
  /// A program with a credential.
  case program(Credential)

  /// How the audit names it.
  var actor: String {
    switch self {
    case .local(let user): "uid \(user)"
    case .program(let credential): credential.masked
    }
  }

  /// What it proved itself by; nil on the socket.
  var credential: Credential? {
    if case .program(let credential) = self { credential } else { nil }
  }

  /// Whether it may see a part of the administration, or see and change it.
  func may(_ scope: Scope) -> Bool { credential?.scopes.cover(scope) ?? true }
}

/// What a request shows to prove who calls.
enum ShownSecret {
  /// The secret of `Authorization: Bearer SECRET`, or the user name of `Basic`; nil when there is none.
  static func read(_ headers: HTTPHeaders) -> String? {
    guard let header = headers["Authorization"] else { return nil }
    let words = header.split(separator: " ", maxSplits: 1)
    guard words.count == 2 else { return nil }
    switch words[0].lowercased() {
    case "bearer": return String(words[1])
    case "basic":
      guard let bytes = Base64.decode(String(words[1])),
        let text = String(validating: bytes, as: UTF8.self)
      else { return nil }
      let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
      // A client of tokens puts its number first and its secret second.
      return parts.count == 2 && !parts[1].isEmpty ? String(parts[1]) : String(parts[0])
    default: return nil
    }
  }
}
