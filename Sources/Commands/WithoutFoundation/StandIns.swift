// SPDX-License-Identifier: Apache-2.0

// ArgumentParser asks FoundationEssentials for two things: whether an error describes itself in
// Foundation's way, which none of ours does, and JSON for `--experimental-dump-help`, which nobody
// asks of a released program. These are stand-ins under the same names: the linker finds them
// first and leaves out six megabytes. A debug build has the real ones.
#if !DEBUG
import Glibc

/// Stands in for the protocol of Foundation, for a cast that never succeeds.
public protocol LocalizedError: Error {
  /// As in Foundation.
  var errorDescription: String? { get }
  /// As in Foundation.
  var failureReason: String? { get }
  /// As in Foundation.
  var recoverySuggestion: String? { get }
  /// As in Foundation.
  var helpAnchor: String? { get }
}

/// Stands in for the encoder of Foundation: to make one ends the program, so nothing else of it,
/// and nothing of the types below, is ever used.
open class JSONEncoder {
  /// As in Foundation.
  public struct OutputFormatting: OptionSet, Sendable {
    /// As in Foundation.
    public let rawValue: UInt
    /// As in Foundation.
    public init(rawValue: UInt) { self.rawValue = rawValue }
    /// As in Foundation.
    public static let prettyPrinted = OutputFormatting(rawValue: 1)
    /// As in Foundation.
    public static let sortedKeys = OutputFormatting(rawValue: 2)
  }

  /// Ends the program with the code of arguments that are not understood.
  public init() {
    let text = Array("a released program does not describe itself in JSON\n".utf8)
    // SAFETY: the array holds as many bytes as are written.
    unsafe _ = write(STDERR_FILENO, text, text.count)
    exit(2)
  }
}

/// Stands in for the bytes of Foundation.
public struct Data: Sendable {}

extension String {
  /// As in Foundation.
  public struct Encoding: Sendable {
    /// As in Foundation.
    public static let utf8 = Encoding()
  }

  /// As in Foundation.
  public init?(data: __shared Data, encoding: Encoding) { return nil }
}
#endif
