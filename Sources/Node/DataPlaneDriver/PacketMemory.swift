// SPDX-License-Identifier: Apache-2.0

import Packets

/// A buffer of the data thread, allocated once.
@safe
struct PacketMemory: ~Copyable {
  private let memory: UnsafeMutableRawBufferPointer

  init(capacity: Int) {
    precondition(capacity > 0, "a buffer holds something")
    unsafe memory = .allocate(byteCount: capacity, alignment: 64)
    unsafe memory.initializeMemory(as: UInt8.self, repeating: 0)
  }

  deinit { unsafe memory.deallocate() }

  /// All of it, for a system call to fill.
  @unsafe var raw: UnsafeMutableRawBufferPointer { unsafe memory }

  /// All of it, for the pipeline.
  var bytes: PacketBytes {
    guard let base = unsafe memory.baseAddress else {
      preconditionFailure("a buffer that was allocated has an address")
    }
    // SAFETY: the memory lives as long as the thread that owns it, and so do the slices it uses.
    return unsafe PacketBytes(base, count: memory.count)
  }
}
