// SPDX-License-Identifier: Apache-2.0

import Foundation

/// What the kernel says of this process.
enum ProcessFacts {
  /// Its threads of a name.
  static func threads(named name: String) -> [String] {
    entries("/proc/self/task").filter {
      // One that has ended while we look is not there.
      let text = try? String(contentsOfFile: "/proc/self/task/\($0)/comm", encoding: .utf8)
      return text?.trimmingCharacters(in: .newlines) == name
    }
  }

  private static func entries(_ path: String) -> [String] {
    // Without /proc there is nothing to tell.
    (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
  }
}
