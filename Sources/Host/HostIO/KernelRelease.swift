// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// Which kernel runs, for the few faults that can be known by nothing else.
public struct KernelRelease: Hashable, Sendable, Comparable, CustomStringConvertible {
  /// The first number.
  public let major: Int
  /// The second number.
  public let minor: Int
  /// The third number; zero when there is none.
  public let patch: Int

  /// A release by its numbers.
  public init(_ major: Int, _ minor: Int, _ patch: Int) {
    (self.major, self.minor, self.patch) = (major, minor, patch)
  }

  /// Reads what `uname -r` prints: "7.0.2-6-pve"; what is no number counts as zero.
  public init(_ text: String) {
    let numbers = text.split(whereSeparator: { !($0.isASCII && $0.isNumber) && $0 != "." })
      .first?.split(separator: ".").map { Int($0) ?? 0 }
    let parts = (numbers ?? []) + [0, 0, 0]
    self.init(parts[0], parts[1], parts[2])
  }

  /// The kernel under this process.
  public static let running: KernelRelease = {
    var names = utsname()
    // SAFETY: the kernel fills the structure that is passed.
    guard unsafe uname(&names) == 0 else { return KernelRelease(0, 0, 0) }
    // SAFETY: the field ends in a zero byte.
    return unsafe withUnsafeBytes(of: &names.release) { bytes in
      unsafe KernelRelease(String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self))
    }
  }()

  /// Whether the kernel damages the headers of some trains of datagrams, depending on the device.
  ///
  /// Nothing tells at run time: the datagrams are lost at the other end.
  ///
  /// - Source: Linux commit b10b446 (7.0-rc1); mended by 78effd8 and 5f17ae0, in 7.1.5.
  public var corruptsTrains: Bool {
    (KernelRelease(7, 0, 0)...KernelRelease(7, 1, 4)).contains(self)
  }

  /// "7.0.2".
  public var description: String { "\(major).\(minor).\(patch)" }

  /// The order of releases.
  public static func < (left: Self, right: Self) -> Bool {
    (left.major, left.minor, left.patch) < (right.major, right.minor, right.patch)
  }
}
