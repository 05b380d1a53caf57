// SPDX-License-Identifier: Apache-2.0

import CHost

/// How many bytes `malloc` has given out and not taken back.
///
/// Only a process that does nothing else can tell from it what something takes.
public func allocatedBytes() -> Int { Int(chost_allocated_bytes()) }
