// SPDX-License-Identifier: Apache-2.0

package import Coordination

/// Where what has to last is kept.
///
/// The seam between the coordination server and a database. One implementation is SQLite in a file;
/// another keeps everything in memory, for tests and for trying things out.
package protocol Store: Sendable {
  /// Everything that is kept of one network.
  func load(_ tailnet: TailnetID) async throws(StoreError) -> TailnetRecords
  /// Writes rows in order, all or none; when this returns they survive a crash and a power cut.
  func commit(_ mutations: [Mutation], to tailnet: TailnetID) async throws(StoreError)
  /// The youngest entries of the audit, youngest first.
  func audit(_ tailnet: TailnetID, limit: Int) async throws(StoreError) -> [AuditEntry]
  /// The youngest policies, youngest first.
  func policies(_ tailnet: TailnetID, limit: Int) async throws(StoreError) -> [PolicyVersion]
  /// Whether the database answers.
  func check() async throws(StoreError)
  /// Lets go of the database; nothing may be asked of it afterwards.
  func close() async
}

/// What went wrong with the store, in words for the operator.
package struct StoreError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What kind of trouble it is.
  package enum Kind: Hashable, Sendable {
    /// The state directory or a file in it cannot be used.
    case inaccessible
    /// Another process uses it.
    case inUse
    /// What is in it cannot be right; it was left as it is.
    case corrupted
    /// It is somebody else's.
    case foreign
    /// What should be there is not.
    case lost
    /// It was written by a newer version.
    case tooNew
    /// Somebody else was faster: a one-off key was used already, a name was taken.
    case conflict
    /// The database refused: a full disk, an I/O error.
    case failed
  }

  /// What kind of trouble it is.
  package let kind: Kind
  /// What happened, to what, and what to do.
  package let message: String

  /// Trouble of a kind, in words.
  package init(_ kind: Kind, _ message: String) {
    self.kind = kind
    self.message = message
  }

  /// The words.
  package var description: String { message }
}
