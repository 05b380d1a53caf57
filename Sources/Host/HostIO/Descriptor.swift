// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// The one owner of a file descriptor: closes it when it goes away.
public struct Descriptor: ~Copyable, Sendable {
  /// The number the kernel knows it by.
  public let rawValue: Int32

  /// Takes ownership of an open descriptor.
  package init(owning rawValue: Int32) {
    precondition(rawValue >= 0, "a descriptor that is owned is open")
    self.rawValue = rawValue
  }

  deinit { close(rawValue) }
}
