// SPDX-License-Identifier: Apache-2.0

import Bytes
package import ControlProtocol
package import Keys
import Timing

/// How a node gets into the network: what it asks, and what the answers mean.
///
/// Send `request()`, hand the answer to `receive` and do what the outcome says; ask again with the
/// next `request()` until the outcome is final. The pre-auth key is sent along every time and never
/// shown.
///
/// - Source: `Documentation/Protocols/control.md`, registration.
package struct Registration: Hashable, Sendable {
  /// The key to register.
  package private(set) var nodeKey: NodeKey
  /// The key that it replaces; zero for none.
  package private(set) var oldNodeKey: NodeKey
  /// What the node tells of itself.
  package var hostinfo: Hostinfo
  /// The signature that a fresh key has to wrap, when the server sent one.
  package private(set) var signatureToWrap: [UInt8] = []
  /// The page that a person was sent to.
  package private(set) var page: LoginPage?

  private let lockKey: TailnetLockKey
  private let auth: RegisterAuth?
  private let isEphemeral: Bool
  private let tailnet: String

  /// A registration at its beginning.
  ///
  /// - Parameters:
  ///   - nodeKey: The key to register.
  ///   - oldNodeKey: The key that it replaces; zero when the key is known already, or the first.
  ///   - lockKey: The node's key for the tailnet lock.
  ///   - authKey: A key that stands for a person's approval; empty for none. What the tailnet lock
  ///     adds to it stays here.
  ///   - hostinfo: What the node tells of itself.
  ///   - isEphemeral: Whether the node is to be forgotten when it goes away.
  ///   - tailnet: The network that is meant; empty for the only one.
  package init(
    nodeKey: NodeKey,
    oldNodeKey: NodeKey = .zero,
    lockKey: TailnetLockKey = .zero,
    authKey: String = "",
    hostinfo: Hostinfo,
    isEphemeral: Bool = false,
    tailnet: String = ""
  ) {
    (self.nodeKey, self.oldNodeKey, self.lockKey) = (nodeKey, oldNodeKey, lockKey)
    (self.hostinfo, self.isEphemeral, self.tailnet) = (hostinfo, isEphemeral, tailnet)
    let secret = authKey.firstPlace(of: "--TL").map { authKey[..<$0.lowerBound] } ?? authKey[...]
    auth = secret.isEmpty ? nil : RegisterAuth(authKey: String(secret))
  }

  /// What to ask now.
  package func request() -> RegisterRequest {
    RegisterRequest(
      version: CapabilityVersion.current,
      nodeKey: nodeKey,
      oldNodeKey: oldNodeKey,
      nlKey: lockKey,
      auth: auth,
      followup: page?.description ?? "",
      hostinfo: hostinfo,
      ephemeral: isEphemeral,
      tailnet: tailnet
    )
  }

  /// Reads the answer to the last request.
  package mutating func receive(_ response: RegisterResponse) -> RegistrationOutcome {
    if !response.error.isEmpty { return .refused(shown(response.error)) }
    if !response.nodeKeySignature.isEmpty || response.nodeKeyExpired {
      // A key that was made because another had ended cannot have ended too.
      guard oldNodeKey.isZero else {
        return .refused("the server says that a key has expired which was made just now")
      }
      signatureToWrap = response.nodeKeySignature
      return .needsNewKey
    }
    if !response.authURL.isEmpty { return send(to: response.authURL) }
    page = nil
    let account = Account(user: response.user, login: response.login)
    return response.machineAuthorized ? .authorised(account) : .awaitsApproval(account)
  }

  /// Goes on with another key in place of the one that has ended.
  package mutating func renew(with key: NodeKey) {
    (oldNodeKey, nodeKey) = (nodeKey, key)
    page = nil
  }

  /// What to ask to give up `nodeKey`: it shall have ended long ago.
  package static func logout(
    nodeKey: NodeKey,
    lockKey: TailnetLockKey = .zero,
    hostinfo: Hostinfo
  ) -> RegisterRequest {
    RegisterRequest(
      version: CapabilityVersion.current,
      nodeKey: nodeKey,
      nlKey: lockKey,
      expiry: Timestamp(seconds: 123),
      hostinfo: hostinfo
    )
  }

  /// Why the server does not let go of the key, fit to be shown; nil when it does.
  package static func refusal(ofLogout response: RegisterResponse) -> String? {
    response.error.isEmpty ? nil : ServerText.readable(response.error)
  }

  private mutating func send(to address: String) -> RegistrationOutcome {
    guard let next = LoginPage(address) else {
      return .refused("the server sends people to what is no web page")
    }
    defer { page = next }
    return next == page ? .stillNeedsLogin(next) : .needsLogin(next)
  }

  /// What the server says, without the secret should it repeat it.
  private func shown(_ text: String) -> String {
    guard let secret = auth?.authKey, !secret.isEmpty else { return ServerText.readable(text) }
    return ServerText.readable(text.exchanging(secret, for: "[redacted]"))
  }
}
