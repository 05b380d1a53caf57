// SPDX-License-Identifier: Apache-2.0

package import ControlProtocol
import JSON
package import Keys

/// Who a node is to its coordination server, with its private keys; part of the stored preferences.
///
/// Never leaves the daemon with its keys: see `withoutPrivateKeys`.
package struct LoginIdentity: LocalRecord {
  /// The node's key.
  package var privateNodeKey: NodePrivateKey?
  /// The key before it, until the server knows the new one.
  package var oldPrivateNodeKey: NodePrivateKey?
  /// The user who logged in.
  package var userProfile = UserProfile()
  /// The key with which the node signs in the tailnet lock.
  package var networkLockKey: TailnetLockPrivateKey?
  /// The stable ID of the node.
  package var nodeID = ""

  /// Nobody yet.
  package init() {}

  /// The same without secrets.
  package var withoutPrivateKeys: LoginIdentity {
    var copy = self
    copy.privateNodeKey = nil
    copy.oldPrivateNodeKey = nil
    copy.networkLockKey = nil
    return copy
  }

  package static let fields: LocalFields<Self> = [
    LocalField("PrivateNodeKey", secret: \.privateNodeKey, zero: "privkey:"),
    LocalField("OldPrivateNodeKey", secret: \.oldPrivateNodeKey, zero: "privkey:"),
    LocalField("UserProfile", \.userProfile),
    LocalField("NetworkLockKey", secret: \.networkLockKey, zero: "nlpriv:"),
    LocalField("NodeID", \.nodeID),
  ]
}

extension Preferences {
  /// The same without secrets, as clients are told.
  package var withoutPrivateKeys: Preferences {
    var copy = self
    copy.config = config?.withoutPrivateKeys
    return copy
  }
}

/// A private key that can be told in full.
package protocol PrivateKeyText: Hashable, Sendable, SendableMetatype {
  init?(_ text: String)
  var text: String { get }
}

extension NodePrivateKey: PrivateKeyText {}
extension TailnetLockPrivateKey: PrivateKeyText {}

extension LocalField {
  /// A private key; no key is `zero` and as many zeros as the key has digits.
  fileprivate init<Key: PrivateKeyText>(
    _ name: String,
    secret path: any WritableKeyPath<Owner, Key?> & Sendable,
    zero: String
  ) {
    self.init(
      name,
      read: { (reader, owner) throws(JSONError) in
        let text = try reader.null() ? "" : try reader.string()
        let digits = text.hasPrefix(zero) ? text.dropFirst(zero.count) : ""
        let isZero = text.isEmpty || !digits.isEmpty && digits.allSatisfy { $0 == "0" }
        owner[keyPath: path] = isZero ? nil : Key(text)
        if !isZero, owner[keyPath: path] == nil { throw reader.invalid("private key") }
      },
      write: { owner, writer in
        let digits = zero == "nlpriv:" ? 128 : 64
        writer.name(name)
        writer.string(
          owner[keyPath: path]?.text ?? zero + String(repeating: "0", count: digits)
        )
      },
      path
    )
  }
}
