// SPDX-License-Identifier: Apache-2.0

/// How a command ends, as the shell and the service manager see it.
///
/// | Code | Meaning                                                                      |
/// |------|------------------------------------------------------------------------------|
/// | 0    | it did what was asked                                                        |
/// | 1    | it could not; the reason is on standard error                                |
/// | 2    | it was asked in a way it does not understand (unknown flag, bad value)       |
/// | 3    | its configuration is wrong; starting it again will not help                  |
/// | 4    | it may not do that: run as root, or as the operator                          |
/// | 5    | another instance holds the state, the socket or the port                     |
///
/// `martlet` itself uses 0, 1 and 2 only, as scripts written for the original expect.
package enum ExitCode: Int32, Sendable, CaseIterable {
  /// It did what was asked.
  case success = 0
  /// It could not.
  case failure = 1
  /// It was asked in a way it does not understand.
  case usage = 2
  /// Its configuration is wrong; starting it again will not help.
  case configuration = 3
  /// It lacks a privilege.
  case permission = 4
  /// Another instance holds what it needs.
  case alreadyRunning = 5
}
