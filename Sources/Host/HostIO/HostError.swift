// SPDX-License-Identifier: Apache-2.0

internal import CHost

/// The operating system refused something that we asked of it.
public struct HostError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What was tried, as it follows "cannot": "open the TUN device martlet0".
  public let operation: String
  /// The `errno` that the system gave.
  public let code: Int32
  /// What to do about it; empty when nothing better than the error itself is known.
  public let hint: String

  /// A refusal with the system's code.
  public init(_ operation: String, code: Int32, hint: String = "") {
    (self.operation, self.code, self.hint) = (operation, code, hint)
  }

  /// "Cannot open the TUN device martlet0: operation not permitted. Run as root."
  public var description: String {
    let sentence = "cannot \(operation): \(reason)"
    return hint.isEmpty ? sentence : "\(sentence). \(hint)"
  }

  /// What the system's code means, in words.
  public var reason: String {
    // SAFETY: the text is a constant of the C library.
    let text = unsafe String(cString: chost_error_text(code))
    guard let first = text.first, text.dropFirst().first?.isUppercase != true else { return text }
    return first.lowercased() + text.dropFirst()
  }
}

/// Turns the negated `errno` of a shim into an error.
///
/// - Throws: `HostError` when `result` is negative.
@discardableResult
package func check<Count: SignedInteger>(
  _ result: Count,
  _ operation: @autoclosure () -> String,
  hint: @autoclosure () -> String = ""
) throws(HostError) -> Count {
  guard result < 0 else { return result }
  throw HostError(operation(), code: Int32(clamping: -Int64(result)), hint: hint())
}
