// SPDX-License-Identifier: Apache-2.0

import Glibc
package import HTTPTransport

/// Who sent a request over the LocalAPI socket, as the kernel tells, and what they may do.
package struct LocalActor: Hashable, Sendable {
  /// The user; nil when the kernel did not tell.
  package let userID: UInt32?
  /// The process; nil when the kernel did not tell.
  package let processID: Int32?
  /// Whether they may change anything.
  ///
  /// Everyone who can open the socket may read.
  package let mayWrite: Bool

  /// An actor with these rights.
  package init(userID: UInt32?, processID: Int32?, mayWrite: Bool) {
    (self.userID, self.processID, self.mayWrite) = (userID, processID, mayWrite)
  }

  /// The actor behind a connection.
  ///
  /// Root may write; so may the daemon's own user when the daemon is not root, and the operator
  /// whom the preferences name. Somebody unknown may only read.
  package init(
    _ credentials: PeerCredentials?,
    daemonUserID: UInt32,
    operatorUser: String
  ) {
    let user = credentials?.userID
    let isOwner = user != nil && (user == 0 || user == daemonUserID)
    let isOperator =
      user != nil && !operatorUser.isEmpty && user == LocalUsers.number(of: operatorUser)
    self.init(
      userID: user,
      processID: credentials?.processID,
      mayWrite: isOwner || isOperator
    )
  }
}

/// The users of this machine.
enum LocalUsers {
  /// The number of the user of that name; nil when there is none, or the name is a number.
  ///
  /// A name of digits only is refused: it may mean another user to another program.
  static func number(of name: String) -> UInt32? {
    guard name.contains(where: { !$0.isNumber }) else { return nil }
    var entry = unsafe passwd()
    var found: UnsafeMutablePointer<passwd>?
    var buffer = [CChar](repeating: 0, count: 16_384)
    // SAFETY: the buffer outlives the call, which writes at most its count, and the entry, of which
    // only the number is read.
    let status = unsafe getpwnam_r(name, &entry, &buffer, buffer.count, &found)
    guard status == 0, unsafe found != nil else { return nil }
    return unsafe entry.pw_uid
  }
}
