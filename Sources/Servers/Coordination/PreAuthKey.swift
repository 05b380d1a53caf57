// SPDX-License-Identifier: Apache-2.0

internal import Bytes
package import Cryptography
package import Timing

/// Lets a machine join without a person at its screen.
///
/// The secret itself is shown once, when it is made; what is kept can only recognise it.
package struct PreAuthKey: Hashable, Sendable {
  /// Its number.
  package let id: PreAuthKeyID
  /// The part of its text that is no secret and finds it.
  package let prefix: String
  /// SHA-256 of the secret part.
  ///
  /// The secret has 256 random bits, so that a slow hash would protect nothing.
  package let hash: [UInt8]
  /// Whose nodes it makes; none when it makes tagged ones.
  package let user: UserID?
  /// What its nodes are tagged with.
  package let tags: [String]
  /// Whether it works more than once.
  package let isReusable: Bool
  /// How many nodes it lets in at most; none for any number, where it works more than once.
  package let maximumUses: Int?
  /// Whether its nodes are forgotten when they have been away for a while.
  package let isEphemeral: Bool
  /// Whether its nodes need nobody's approval, where nodes do.
  package let isPreauthorized: Bool
  /// From when on it does not work; none when it always does.
  package var expiry: Timestamp?
  /// How many nodes it let in.
  package var uses: Int
  /// When it was made.
  package let created: Timestamp

  /// A key with all its facts.
  package init(
    id: PreAuthKeyID,
    prefix: String,
    hash: [UInt8],
    user: UserID?,
    tags: [String] = [],
    isReusable: Bool = false,
    maximumUses: Int? = nil,
    isEphemeral: Bool = false,
    isPreauthorized: Bool = false,
    expiry: Timestamp?,
    uses: Int = 0,
    created: Timestamp
  ) {
    self.id = id
    self.prefix = prefix
    self.hash = hash
    self.user = user
    self.tags = tags
    self.isReusable = isReusable
    self.maximumUses = maximumUses
    self.isEphemeral = isEphemeral
    self.isPreauthorized = isPreauthorized
    self.expiry = expiry
    self.uses = uses
    self.created = created
  }

  /// Why it lets nobody in any more.
  package enum Spent: Hashable, Sendable {
    /// Its time is over.
    case expired
    /// It worked as often as it was for.
    case used
  }

  /// Why it lets nobody in at `time`; nil while it does.
  package func spent(at time: Timestamp) -> Spent? {
    if let expiry, expiry <= time { return .expired }
    return uses >= (isReusable ? maximumUses ?? .max : 1) ? .used : nil
  }

  /// Its text with the secret left out.
  package var masked: String { AuthSecret.Kind.auth.rawValue + prefix + "-***" }
}

/// The text of a pre-authentication key or of a credential: `martlet-auth-PREFIX-SECRET`.
///
/// Never printed by accident: only `text`, asked for by name, has the secret in it.
package struct AuthSecret: Sendable, CustomStringConvertible {
  /// What a secret is for, which is what its text begins with.
  package enum Kind: String, Hashable, Sendable, CaseIterable {
    /// To let machines join.
    case auth = "martlet-auth-"
    /// To use the API.
    case api = "martlet-api-"
    /// To get tokens for the API.
    case client = "martlet-client-"
    /// To use the API for a while.
    case token = "martlet-token-"
  }

  private static let prefixDigits = 12
  private static let secretDigits = 64

  /// What it is for.
  package let kind: Kind
  /// The part that finds what it opens.
  package let prefix: String
  private let secret: String

  /// A new secret: 48 bits to find it by, 256 to prove it.
  package init(_ kind: Kind = .auth, using entropy: inout Entropy) {
    self.kind = kind
    prefix = Hex.encode(entropy.bytes(Self.prefixDigits / 2))
    secret = Hex.encode(entropy.bytes(Self.secretDigits / 2))
  }

  /// The secret that `text` spells, of any kind; nil when it is not of our form.
  package init?(anyKind text: String) {
    guard let kind = Kind.allCases.first(where: { text.hasPrefix($0.rawValue) }) else { return nil }
    self.init(text, kind)
  }

  /// The secret that `text` spells; nil when it is not of our form.
  package init?(_ text: String, _ kind: Kind = .auth) {
    let lead = kind.rawValue.utf8.count
    guard text.utf8.count == lead + Self.prefixDigits + 1 + Self.secretDigits,
      text.hasPrefix(kind.rawValue)
    else { return nil }
    let parts = text.dropFirst(lead).split(separator: "-", omittingEmptySubsequences: false)
    guard parts.count == 2, parts[0].utf8.count == Self.prefixDigits,
      parts[1].utf8.count == Self.secretDigits, Hex.decode(parts[0]) != nil,
      Hex.decode(parts[1]) != nil
    else { return nil }
    self.kind = kind
    prefix = String(parts[0])
    secret = String(parts[1])
  }

  /// The whole text, secret and all: for the one who made it, once.
  package var text: String { kind.rawValue + prefix + "-" + secret }

  /// What is kept of it.
  package var hash: [UInt8] { SHA256.hash(Array(secret.utf8)) }

  /// Whether it is the secret of `key`, in a time that tells nothing about it.
  package func opens(_ key: PreAuthKey) -> Bool {
    kind == .auth && opens(prefix: key.prefix, hash: key.hash)
  }

  /// Whether it is the secret that was kept as `hash`, in a time that tells nothing about it.
  func opens(prefix: String, hash: [UInt8]) -> Bool {
    prefix == self.prefix && equalInConstantTime(self.hash, hash)
  }

  /// The text with the secret left out.
  package var description: String { kind.rawValue + prefix + "-***" }
}
