// SPDX-License-Identifier: Apache-2.0

internal import CHost

/// The memory of this process.
public enum HostMemory {
  /// Gives memory back to the system that was freed; takes milliseconds where there is much.
  public static func releaseFree() { chost_release_memory() }
}
