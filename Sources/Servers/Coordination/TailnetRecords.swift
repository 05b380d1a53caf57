// SPDX-License-Identifier: Apache-2.0

package import Addressing
package import Timing

/// Everything the store keeps of one network, as it was read at start.
package struct TailnetRecords: Sendable {
  /// Its users.
  package var users: [User] = []
  /// Its nodes.
  package var nodes: [NodeRecord] = []
  /// Its pre-authentication keys.
  package var keys: [PreAuthKey] = []
  /// Addresses that rest, and since when.
  package var resting: [IPAddress: Timestamp] = [:]
  /// The policy in force; none where there never was one.
  package var policy: PolicyVersion?
  /// Its credentials of the API.
  package var credentials: [Credential] = []
  /// Whom it tells of what happens.
  package var webhooks: [Webhook] = []
  /// What an administrator said about names; none where the server's file counts.
  package var names: String?
  /// The highest number a user ever had, in any network.
  package var lastUser: Int64 = 0
  /// The highest number a node ever had, in any network.
  package var lastNode: Int64 = 0
  /// The highest number a key ever had, in any network.
  package var lastKey: Int64 = 0
  /// The highest number a credential ever had, in any network.
  package var lastCredential: Int64 = 0
  /// The highest number a webhook ever had, in any network.
  package var lastWebhook: Int64 = 0
  /// The number of the youngest change.
  package var lastChange: Int64 = 0

  /// A network in which nothing is yet.
  package init() {}
}
