// SPDX-License-Identifier: Apache-2.0

/// A value that knows how to write itself as JSON.
public protocol JSONWritable {
  /// Writes exactly one JSON value.
  func write(to writer: inout JSONWriter)
}

extension JSONWritable {
  /// This value as JSON text on one line.
  public var json: [UInt8] {
    var writer = JSONWriter()
    write(to: &writer)
    return writer.bytes
  }
}

extension JSONWriter {
  /// Writes a member.
  public mutating func field(_ name: String, _ value: some JSONWritable) {
    self.name(name)
    value.write(to: &self)
  }

  /// Writes a member, null when there is no value.
  public mutating func field(_ name: String, orNull value: (some JSONWritable)?) {
    self.name(name)
    if let value { value.write(to: &self) } else { null() }
  }

  /// Writes a member unless there is no value.
  public mutating func field(_ name: String, ifPresent value: (some JSONWritable)?) {
    if let value { field(name, value) }
  }

  /// Writes a member unless the value is empty.
  public mutating func field(_ name: String, ifNonempty value: some JSONWritable & Collection) {
    if !value.isEmpty { field(name, value) }
  }

  /// Writes a member unless the value is zero.
  public mutating func field(_ name: String, ifNonzero value: some JSONWritable & Numeric) {
    if value != .zero { field(name, value) }
  }

  /// Writes `true`, or nothing.
  public mutating func field(_ name: String, ifTrue value: Bool) {
    if value { field(name, value) }
  }

  /// Writes a member whose value is the text of `value`.
  public mutating func field(_ name: String, text value: some CustomStringConvertible) {
    field(name, value.description)
  }

  /// Writes a member of base-64 text.
  public mutating func field(_ name: String, base64 value: [UInt8]) {
    self.name(name)
    base64(value)
  }

  /// Writes a member of base-64 text unless there are no bytes.
  public mutating func field(_ name: String, base64IfNonempty value: [UInt8]) {
    if !value.isEmpty { field(name, base64: value) }
  }

  /// Writes a member whose value is JSON already.
  public mutating func field(_ name: String, raw value: [UInt8]) {
    self.name(name)
    raw(value)
  }

  /// Writes a member whose value is JSON already, unless there are no bytes.
  public mutating func field(_ name: String, rawIfNonempty value: [UInt8]) {
    if !value.isEmpty { field(name, raw: value) }
  }

  /// Writes a member whose value `body` writes.
  public mutating func field(_ name: String, _ body: (inout JSONWriter) -> Void) {
    self.name(name)
    body(&self)
  }

  /// Writes a member that is an array of the texts of `values`.
  public mutating func field(
    _ name: String,
    texts values: some Sequence<some CustomStringConvertible>
  ) {
    self.name(name)
    array { writer in
      for value in values { writer.string(value.description) }
    }
  }
}

extension String: JSONWritable {
  /// Writes a string.
  public func write(to writer: inout JSONWriter) { writer.string(self) }
}

extension Bool: JSONWritable {
  /// Writes `true` or `false`.
  public func write(to writer: inout JSONWriter) { writer.bool(self) }
}

extension Double: JSONWritable {
  /// Writes a number.
  public func write(to writer: inout JSONWriter) { writer.double(self) }
}

extension Int: JSONWritable {
  /// Writes an integer.
  public func write(to writer: inout JSONWriter) { writer.integer(self) }
}

extension Int64: JSONWritable {
  /// Writes an integer.
  public func write(to writer: inout JSONWriter) { writer.integer(self) }
}

extension UInt16: JSONWritable {
  /// Writes an integer.
  public func write(to writer: inout JSONWriter) { writer.integer(self) }
}

extension UInt64: JSONWritable {
  /// Writes an integer.
  public func write(to writer: inout JSONWriter) { writer.integer(self) }
}

extension Array: JSONWritable where Element: JSONWritable {
  /// Writes an array.
  public func write(to writer: inout JSONWriter) {
    writer.array { writer in
      for element in self { element.write(to: &writer) }
    }
  }
}

extension Dictionary: JSONWritable where Key == String, Value: JSONWritable {
  /// Writes an object, its members in order of their names.
  public func write(to writer: inout JSONWriter) {
    writer.object { writer in
      for (name, value) in sorted(by: { $0.key < $1.key }) { writer.field(name, value) }
    }
  }
}

extension Optional: JSONWritable where Wrapped: JSONWritable {
  /// Writes the value, or null.
  public func write(to writer: inout JSONWriter) {
    if let self { self.write(to: &writer) } else { writer.null() }
  }
}
