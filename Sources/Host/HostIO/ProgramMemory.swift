// SPDX-License-Identifier: Apache-2.0

internal import CHost
internal import Glibc

/// What of this process's memory is only the copy of a file: the code of the program and its libraries.
///
/// Starting up, logging in and answering questions touch code that carrying packets never needs, and
/// the kernel maps sixteen pages for each that is touched. Such pages count as this process's until
/// the machine runs short of memory, and looking through them then is what a short machine has no
/// time for. Given back, each costs one minor fault when it is needed again.
package enum ProgramMemory {
  /// The bytes of files that are mapped in now; zero where the system does not tell.
  package static var residentFileBytes: Int {
    let fd = unsafe open("/proc/self/statm", O_RDONLY | O_CLOEXEC)
    guard fd >= 0 else { return 0 }
    defer { close(fd) }
    return unsafe withUnsafeTemporaryAllocation(byteCount: 128, alignment: 1) { bytes in
      // SAFETY: no more is read than there is room for, and no more looked at than was read.
      let count = unsafe read(fd, bytes.baseAddress, bytes.count)
      guard count > 0 else { return 0 }
      let text = unsafe String(decoding: bytes.prefix(count), as: UTF8.self)
      let fields = text.split(separator: " ")
      return fields.count > 2 ? (Int(fields[2]) ?? 0) * sysconf(Int32(_SC_PAGESIZE)) : 0
    }
  }

  /// Lets go of the program's pages that are as they were on disk, and of what the allocator keeps.
  ///
  /// Threads may run meanwhile. What a debugger wrote into the code is forgotten as well.
  package static func giveBack() {
    _ = chost_release_program_pages()
    _ = malloc_trim(0)
  }
}

/// When it is worth giving the program's pages back: once after the start, then when much has come.
///
/// What a working daemon needs all the time comes back within moments, and giving that back again
/// and again would only cost faults. So what is resident one look after it was given back counts as
/// needed, and only what comes on top of it is looked at.
package struct GiveBackRule: Sendable {
  /// How long after the start, and how often from then on, somebody should look.
  package static let interval: Duration = .seconds(60)
  /// How long starting up may take.
  package static let settling: Duration = .seconds(10)
  /// How much must have come for it to be worth the faults.
  package static let worthwhile = 2 << 20

  private enum State {
    case starting
    case givenBack
    case settled(needed: Int)
  }

  private var state = State.starting

  /// The rule of a process that has just started.
  package init() {}

  /// Takes a look.
  ///
  /// - Parameter resident: The bytes of files that are mapped in.
  /// - Returns: Whether to give them back now.
  package mutating func shouldGiveBack(resident: Int) -> Bool {
    switch state {
    case .starting:
      state = .givenBack
      return true
    case .givenBack:
      state = .settled(needed: resident)
      return false
    case .settled(let needed):
      guard resident > needed + Self.worthwhile else {
        state = .settled(needed: min(needed, resident))
        return false
      }
      state = .givenBack
      return true
    }
  }
}
