// SPDX-License-Identifier: Apache-2.0

/// Who is at the other end of a unix socket, as the kernel told when it connected.
package struct PeerCredentials: Hashable, Sendable {
  /// The process that connected.
  package let processID: Int32
  /// Its effective user.
  package let userID: UInt32
  /// Its effective group.
  package let groupID: UInt32

  /// The credentials of a process.
  package init(processID: Int32, userID: UInt32, groupID: UInt32) {
    (self.processID, self.userID, self.groupID) = (processID, userID, groupID)
  }
}
