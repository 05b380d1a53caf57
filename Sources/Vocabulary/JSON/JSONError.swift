// SPDX-License-Identifier: Apache-2.0

/// Why text is not JSON, or not the JSON that was expected.
public struct JSONError: Error, Hashable, Sendable {
  /// What is wrong.
  public enum Problem: Hashable, Sendable {
    /// The text ended inside a value.
    case unexpectedEnd
    /// A byte that cannot stand here.
    case unexpectedByte(UInt8)
    /// A value of another kind stands where this kind belongs.
    case expected(String)
    /// Arrays and objects nest deeper than `JSONReader.maximumDepth`.
    case tooDeep
    /// A number that is not spelled as JSON spells numbers.
    case malformedNumber
    /// A number that the type asked for cannot hold.
    case numberOutOfRange
    /// An escape in a string that names no character, such as half of a surrogate pair.
    case malformedEscape
    /// A string that is not UTF-8.
    case invalidUTF8
    /// Something follows the value.
    case trailingBytes
    /// A well-formed value that means nothing: what should have stood there.
    case invalidValue(String)
  }

  /// What is wrong.
  public let problem: Problem
  /// How many bytes into the text.
  public let offset: Int
  /// The members that lead to it, outermost first.
  public var path: [String]

  /// A problem, `offset` bytes into the text.
  public init(_ problem: Problem, offset: Int, path: [String] = []) {
    self.problem = problem
    self.offset = offset
    self.path = path
  }

  /// The same problem, seen from the object or array that holds it.
  func inside(_ member: String) -> JSONError {
    JSONError(problem, offset: offset, path: [member] + path)
  }
}

extension JSONError: CustomStringConvertible {
  /// A sentence for people: what is wrong, in which member, at which byte.
  public var description: String {
    let place = path.isEmpty ? "" : " in \(path.joined(separator: "."))"
    return "JSON: \(sentence)\(place), at byte \(offset)"
  }

  /// What is wrong, without the place.
  public var sentence: String {
    switch problem {
    case .unexpectedEnd: "the text ends too early"
    case .unexpectedByte(let byte): "unexpected byte \(byte)"
    case .expected(let kind): "expected \(kind)"
    case .tooDeep: "nested deeper than \(JSONReader.maximumDepth)"
    case .malformedNumber: "malformed number"
    case .numberOutOfRange: "number out of range"
    case .malformedEscape: "malformed escape in a string"
    case .invalidUTF8: "a string is not UTF-8"
    case .trailingBytes: "something follows the value"
    case .invalidValue(let wanted): "not a valid \(wanted)"
    }
  }
}
