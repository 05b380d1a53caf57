// SPDX-License-Identifier: Apache-2.0

/// A connection as the relay's core knows it: somebody to be told.
///
/// Called without any lock of the core held, from whatever thread caused it.
public protocol RelayConnection: AnyObject, Sendable {
  /// Output waits that did not wait before; told once until all of it is taken.
  func outputWaits()
  /// The connection is to be closed.
  func end(because reason: RelayClosing)
}

/// Why the relay closes a connection.
public enum RelayClosing: Hashable, Sendable {
  /// It sent a frame that is not for it to send.
  case violation
  /// The same client has too many connections.
  case tooManyDuplicates
  /// Another relay of the mesh asked for it, or an administrator.
  case asked
  /// It watches and does not read what it is told.
  case behind
}

/// What happened to connections while frames were handled, told when no lock is held any more.
///
/// The driver owns it, reuses it, and settles it with the switchboard.
public struct RelayEffects: Sendable {
  /// Connections for whom output waits that did not wait before.
  public var ready: [any RelayConnection] = []
  /// Connections to be closed.
  public var close: [(connection: any RelayConnection, reason: RelayClosing)] = []
  /// What was done.
  public var counts = RelayCounters()

  /// Nothing yet.
  public init() {}
}
