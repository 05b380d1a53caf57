// SPDX-License-Identifier: Apache-2.0

internal import ControlProtocol
internal import Coordination
internal import Foundation
internal import Glibc
internal import Logging

/// A file with names that nodes are told, looked at once a second: whoever writes it may replace it.
///
/// What cannot be read leaves the names as they were, and is said once.
struct RecordsFile {
  /// The largest file.
  static let maximumBytes = 4 * 1024 * 1024

  private struct Mark: Equatable {
    var inode: UInt64
    var size: Int64
    var seconds: Int
    var nanoseconds: Int
  }

  private let path: String
  private let logger: Logger
  private var seen: Mark?

  init(_ path: String, logger: Logger) {
    self.path = path
    self.logger = logger
  }

  /// The records, when the file is another than at the last look and holds some.
  mutating func changed() -> [DNSRecord]? {
    var facts = stat()
    // SAFETY: the path is a string and the structure is ours.
    guard unsafe stat(path, &facts) == 0 else {
      if seen != nil { logger.warning("the file with names is gone; they stay as they were") }
      seen = nil
      return nil
    }
    let mark = Mark(
      inode: UInt64(facts.st_ino),
      size: Int64(facts.st_size),
      seconds: facts.st_mtim.tv_sec,
      nanoseconds: facts.st_mtim.tv_nsec
    )
    guard mark != seen else { return nil }
    seen = mark
    // An empty file is one that somebody is about to write.
    guard mark.size > 0 else { return nil }
    do {
      guard mark.size <= Self.maximumBytes, let data = FileManager.default.contents(atPath: path)
      else {
        throw Refusal.invalid("It cannot be read, or is larger than \(Self.maximumBytes) bytes.")
      }
      let records = try NameRecords.read(Array(data))
      logger.notice("took over names", metadata: ["file": "\(path)", "count": "\(records.count)"])
      return records
    } catch {
      logger.error(
        "the file with names is wrong: they stay as they were",
        metadata: ["file": "\(path)", "reason": "\(error)"]
      )
      return nil
    }
  }
}
