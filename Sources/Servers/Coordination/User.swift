// SPDX-License-Identifier: Apache-2.0

package import Timing

/// Whom an identity provider means: its own name, and the name that it gives to one person.
///
/// Both together name somebody; a mail address never does.
package struct ExternalIdentity: Hashable, Sendable {
  /// The provider: `iss`.
  package let issuer: String
  /// The person, to that provider: `sub`.
  package let subject: String

  /// The person that `issuer` calls `subject`.
  package init(issuer: String, subject: String) {
    self.issuer = issuer
    self.subject = subject
  }
}

/// Someone who owns nodes.
package struct User: Hashable, Sendable {
  /// Its number.
  package let id: UserID
  /// The name it logs in with; unique in its network, compared without case.
  package var name: String
  /// The name people read; empty when it is the same.
  package var displayName: String
  /// Its mail address; empty when unknown.
  package var email: String
  /// What it may do to the network.
  package var role: PolicyWorld.Role
  /// Who vouches for it, when that is an identity provider.
  package var identity: ExternalIdentity?
  /// The groups that its identity provider says it is in, by their bare names.
  package var groups: [String]
  /// When it was made.
  package let created: Timestamp

  /// A user with all its facts.
  package init(
    id: UserID,
    name: String,
    displayName: String = "",
    email: String = "",
    role: PolicyWorld.Role = .member,
    identity: ExternalIdentity? = nil,
    groups: [String] = [],
    created: Timestamp
  ) {
    self.id = id
    self.name = name
    self.displayName = displayName
    self.email = email
    self.role = role
    self.identity = identity
    self.groups = groups
    self.created = created
  }

  /// The name that clients show as its login.
  package var loginName: String { email.isEmpty ? name : email }
  /// The name that clients show to people.
  package var shownName: String { displayName.isEmpty ? name : displayName }

  /// The longest name.
  package static let maximumNameLength = 63

  /// The name that `text` asks for, or why it cannot be one.
  ///
  /// Letters, digits, `-`, `.`, `_` and at most one `@`; a letter first. Nothing that a shell, a
  /// terminal or a page could take for something else.
  package static func validName(_ text: String) throws(Refusal) -> String {
    let allowed = text.utf8.allSatisfy { byte in
      isLetter(byte) || isDigit(byte) || [0x2D, 0x2E, 0x5F, 0x40].contains(byte)
    }
    guard let first = text.utf8.first, isLetter(first), allowed,
      (2...maximumNameLength).contains(text.utf8.count),
      text.utf8.count(where: { $0 == 0x40 }) <= 1
    else {
      throw .invalid(
        "A user name has 2 to 63 characters, begins with a letter and goes on with letters, "
          + "digits, '-', '.', '_' and at most one '@'."
      )
    }
    return text
  }

  /// The words for people that `text` asks for, or why they cannot be shown.
  package static func validText(
    _ text: String,
    for what: String
  ) throws(Refusal) -> String {
    guard text.utf8.count <= 255, text.unicodeScalars.allSatisfy({ !isControl($0) }) else {
      throw .invalid("A \(what) has at most 255 bytes and no control characters.")
    }
    return text
  }
}

func isControl(_ scalar: Unicode.Scalar) -> Bool {
  switch scalar.properties.generalCategory {
  case .control, .format, .lineSeparator, .paragraphSeparator: true
  default: false
  }
}

func isLetter(_ byte: UInt8) -> Bool { (0x61...0x7A).contains(byte | 0x20) }

func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }
