// SPDX-License-Identifier: Apache-2.0

internal import Cryptography
package import Timing

/// A credential of the API; given once and never again.
package struct CredentialID: Hashable, Sendable, Comparable, CustomStringConvertible {
  /// The number that the store knows it by.
  package let rawValue: Int64

  /// The credential numbered `rawValue`.
  package init(_ rawValue: Int64) { self.rawValue = rawValue }

  /// The number in decimal.
  package var description: String { String(rawValue) }

  /// By number.
  package static func < (left: CredentialID, right: CredentialID) -> Bool {
    left.rawValue < right.rawValue
  }
}

/// What a program proves itself by at the API, without the secret.
package struct Credential: Hashable, Sendable {
  /// What kind of credential it is.
  package enum Kind: String, Hashable, Sendable {
    /// A key that is shown at every call.
    case key = "api"
    /// A client that exchanges its secret for tokens.
    case client
    /// What a client was given; it ends soon.
    case token

    var secret: AuthSecret.Kind {
      switch self {
      case .key: .api
      case .client: .client
      case .token: .token
      }
    }
  }

  /// Its number.
  package let id: CredentialID
  /// What kind it is.
  package let kind: Kind
  /// The part of its text that finds it.
  package let prefix: String
  /// The SHA-256 of the secret part, which has 256 random bits.
  package let hash: [UInt8]
  /// What it may do.
  package internal(set) var scopes: [Scope]
  /// The tags that what it makes must have; what it makes is untagged only where there are none.
  package let tags: [String]
  /// What it is for.
  package let purpose: String
  /// The client that a token was given to.
  package let client: CredentialID?
  /// The person whom it acts for, and whose role limits it; none where no person does.
  package let user: UserID?
  /// When it was made.
  package let created: Timestamp
  /// From when on it does not work; none when it always does.
  package var expiry: Timestamp?
  /// When it was last used, to the hour.
  package var lastUsed: Timestamp?

  /// A credential with all its facts.
  package init(
    id: CredentialID,
    kind: Kind,
    prefix: String,
    hash: [UInt8],
    scopes: [Scope],
    tags: [String] = [],
    purpose: String = "",
    client: CredentialID? = nil,
    user: UserID? = nil,
    created: Timestamp,
    expiry: Timestamp? = nil,
    lastUsed: Timestamp? = nil
  ) {
    self.id = id
    self.kind = kind
    self.prefix = prefix
    self.hash = hash
    self.scopes = scopes
    self.tags = tags
    self.purpose = purpose
    self.client = client
    self.user = user
    self.created = created
    self.expiry = expiry
    self.lastUsed = lastUsed
  }

  /// Whether its time is not over at `time`.
  package func isValid(at time: Timestamp) -> Bool { expiry.map { $0 > time } ?? true }

  /// Whether it works at `time`, when what nobody used for a while does not.
  func isValid(at time: Timestamp, withoutUse idle: Duration) -> Bool {
    isValid(at: time) && (idle == .zero || (lastUsed ?? created) + idle > time)
  }

  /// Its text with the secret left out.
  package var masked: String { kind.secret.rawValue + prefix + "-***" }
}

/// The credentials of a network, found by what they show of themselves.
package struct Credentials: Sendable {
  /// How many there may be, tokens left out.
  package static let maximumCount = 1000
  /// How many tokens there may be.
  package static let maximumTokens = 10_000
  /// How long a token works.
  package static let tokenLifetime = Duration.seconds(3600)
  /// How exactly it is known when a credential was last used.
  static let useResolution = Duration.seconds(3600)

  private var byID: [CredentialID: Credential] = [:]
  private var byPrefix: [String: CredentialID] = [:]
  private var tokens = 0

  /// None.
  package init() {}

  /// All of them, by number.
  package var all: [Credential] { byID.values.sorted { $0.id < $1.id } }
  package subscript(id: CredentialID) -> Credential? { byID[id] }

  /// The one that a secret opens, whether or not its time is over; compared in constant time.
  package func opened(by secret: AuthSecret) -> Credential? {
    guard let found = byPrefix[secret.prefix].flatMap({ byID[$0] }),
      found.kind.secret == secret.kind, secret.opens(prefix: found.prefix, hash: found.hash)
    else { return nil }
    return found
  }

  /// Whether there is room for one more.
  func hasRoom(for kind: Credential.Kind) -> Bool {
    kind == .token ? tokens < Self.maximumTokens : byID.count - tokens < Self.maximumCount
  }

  mutating func put(_ credential: Credential) {
    if byID.updateValue(credential, forKey: credential.id) == nil, credential.kind == .token {
      tokens += 1
    }
    byPrefix[credential.prefix] = credential.id
  }

  mutating func remove(_ id: CredentialID) {
    guard let credential = byID.removeValue(forKey: id) else { return }
    byPrefix[credential.prefix] = nil
    if credential.kind == .token { tokens -= 1 }
  }

  /// The tokens whose time is over.
  func endedTokens(at time: Timestamp) -> [CredentialID] {
    guard tokens > 0 else { return [] }
    return byID.values.filter { $0.kind == .token && !$0.isValid(at: time) }.map(\.id)
  }

  /// The tokens that a client was given.
  func tokens(of client: CredentialID) -> [CredentialID] {
    byID.values.filter { $0.client == client }.map(\.id).sorted()
  }
}
