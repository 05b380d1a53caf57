// SPDX-License-Identifier: Apache-2.0

package import Addressing
package import Keys
package import Timing

/// A row to be written, all rows of one event together or none.
package enum Mutation: Hashable, Sendable {
  /// A user, new or different.
  case user(User)
  /// A user is gone.
  case userRemoved(UserID)
  /// A node, new or different.
  case node(NodeRecord)
  /// A node was last connected then.
  case lastSeen(NodeID, Timestamp)
  /// A node is gone.
  case nodeRemoved(NodeID)
  /// A pre-authentication key, new or different.
  case key(PreAuthKey)
  /// A key lets one more node in; a one-off key only if it has let in none.
  case keyUsed(PreAuthKeyID, isReusable: Bool)
  /// A pre-authentication key is gone.
  case keyRemoved(PreAuthKeyID)
  /// An address was given back.
  case addressReleased(IPAddress, Timestamp)
  /// An address may be given again.
  case addressRested(IPAddress)
  /// A change that nodes are told, with its number.
  case change(Int64, Change, Timestamp)
  /// Who did what.
  case audit(AuditEntry)
  /// A policy that is in force from now on.
  case policy(PolicyVersion)
  /// A credential of the API, new or different.
  case credential(Credential)
  /// A credential of the API is gone.
  case credentialRemoved(CredentialID)
  /// Somebody to be told of what happens, new or different.
  case webhook(Webhook)
  /// Somebody is to be told no more.
  case webhookRemoved(WebhookID)
  /// What holds about names; nil for what the server's file says.
  case names(String?, by: String, Timestamp)
}

/// Who did what, to what, when.
package struct AuditEntry: Hashable, Sendable {
  /// Who: `uid 0`, or the machine that used a key.
  package let actor: String
  /// What was done, such as `user.create` or `node.expire`.
  package let action: String
  /// To what.
  package let subject: String
  /// What else there is to know; never a secret.
  package let details: String
  /// When.
  package let time: Timestamp

  /// An entry with all its facts.
  package init(
    actor: String,
    action: String,
    subject: String,
    details: String = "",
    time: Timestamp
  ) {
    self.actor = actor
    self.action = action
    self.subject = subject
    self.details = details
    self.time = time
  }
}

/// What an event asks of the driver.
package struct Effects: Sendable {
  /// Rows to write before anybody is answered.
  package var mutations: [Mutation] = []
  /// Logins that somebody may be waiting for and that are now decided or gone.
  package var settledLogins: [LoginID] = []
  /// Checks of sessions that somebody may be waiting for and that are now decided or gone.
  package var settledChecks: [CheckID] = []
  /// Nodes whose map streams must end, because their key or they themselves are gone.
  package var endedStreams: [NodeID] = []
  /// Node keys that have lost access, because they ended, were replaced, or their nodes are gone.
  package var lostKeys: [NodeKey] = []
  /// Whether there are changes to tell.
  package var hasChanges = false

  /// Nothing asked.
  package init() {}
}
