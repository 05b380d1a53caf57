// SPDX-License-Identifier: Apache-2.0

package import JSON

/// A value of the LocalAPI: it reads and writes its JSON form and knows when it says nothing.
package protocol LocalValue: Hashable, Sendable, SendableMetatype {
  /// Reads the value, consuming exactly one JSON value that is not null.
  init(local reader: inout JSONReader) throws(JSONError)
  /// The value that JSON null stands for; nil when null leaves what was there.
  static var fromNull: Self? { get }
  /// Writes exactly one JSON value.
  func writeLocal(to writer: inout JSONWriter)
  /// Whether it is the zero value, which some members leave out.
  var saysNothing: Bool { get }
}

extension LocalValue {
  package static var fromNull: Self? { nil }
}

extension LocalValue where Self: JSONReadable {
  package init(local reader: inout JSONReader) throws(JSONError) { try self.init(reading: &reader) }
}

extension LocalValue where Self: JSONWritable {
  package func writeLocal(to writer: inout JSONWriter) { write(to: &writer) }
}

extension Bool: LocalValue {
  package var saysNothing: Bool { !self }
}

extension String: LocalValue {
  package var saysNothing: Bool { isEmpty }
}

extension Int: LocalValue {
  package var saysNothing: Bool { self == 0 }
}

extension Int64: LocalValue {
  package var saysNothing: Bool { self == 0 }
}

extension UInt16: LocalValue {
  package init(local reader: inout JSONReader) throws(JSONError) { self = try reader.integer() }
  package var saysNothing: Bool { self == 0 }
}

extension Double: LocalValue {
  package var saysNothing: Bool { self == 0 }
}

extension JSONValue: LocalValue {
  package static var fromNull: JSONValue? { .some(.null) }
  package var saysNothing: Bool { self == .null }
}

/// A duration is a whole number of nanoseconds.
extension Duration: LocalValue {
  package init(local reader: inout JSONReader) throws(JSONError) {
    self = .nanoseconds(try reader.int64())
  }

  package func writeLocal(to writer: inout JSONWriter) {
    let (seconds, attoseconds) = components
    writer.integer(seconds &* 1_000_000_000 &+ attoseconds / 1_000_000_000)
  }

  package var saysNothing: Bool { self == .zero }
}

/// Nothing is null.
extension Optional: LocalValue where Wrapped: LocalValue {
  package init(local reader: inout JSONReader) throws(JSONError) {
    self = try Wrapped(local: &reader)
  }

  package static var fromNull: Wrapped?? { .some(nil) }

  package func writeLocal(to writer: inout JSONWriter) {
    if let self { self.writeLocal(to: &writer) } else { writer.null() }
  }

  package var saysNothing: Bool { self == nil }
}

extension Array: LocalValue where Element: LocalValue {
  package init(local reader: inout JSONReader) throws(JSONError) {
    self = try reader.list { (reader) throws(JSONError) in try Element(local: &reader) }
  }

  package static var fromNull: [Element]? { .some([]) }

  package func writeLocal(to writer: inout JSONWriter) {
    writer.array { writer in
      for element in self { element.writeLocal(to: &writer) }
    }
  }

  package var saysNothing: Bool { isEmpty }
}

/// A key of an object that stands for more than its text.
package protocol LocalKey: Hashable, Sendable {
  /// The key that `text` spells.
  init?(localKey text: String)
  /// The text that spells this key.
  var localKey: String { get }
}

extension LocalKey where Self: LosslessStringConvertible {
  package init?(localKey text: String) { self.init(text) }
  package var localKey: String { description }
}

extension String: LocalKey {}
extension Int: LocalKey {}
extension Int64: LocalKey {}

/// Members are written in the order of their names.
extension Dictionary: LocalValue where Key: LocalKey, Value: LocalValue {
  package init(local reader: inout JSONReader) throws(JSONError) {
    var members: [Key: Value] = [:]
    try reader.object { (name, reader) throws(JSONError) in
      guard let key = Key(localKey: name.text) else { throw reader.invalid("member name") }
      if try reader.null() {
        if let value = Value.fromNull { members.updateValue(value, forKey: key) }
      } else {
        members.updateValue(try Value(local: &reader), forKey: key)
      }
    }
    self = members
  }

  package static var fromNull: [Key: Value]? { .some([:]) }

  package func writeLocal(to writer: inout JSONWriter) {
    writer.object { writer in
      for (name, value) in map({ ($0.localKey, $1) }).sorted(by: { $0.0 < $1.0 }) {
        writer.name(name)
        value.writeLocal(to: &writer)
      }
    }
  }

  package var saysNothing: Bool { isEmpty }
}
