// SPDX-License-Identifier: Apache-2.0

package import JSON

/// One member of a record: its name, and how it is read, written, copied and compared.
package struct LocalField<Owner>: Sendable {
  /// The name in JSON.
  package let name: String
  let read: @Sendable (inout JSONReader, inout Owner) throws(JSONError) -> Void
  let write: @Sendable (Owner, inout JSONWriter) -> Void
  let copy: @Sendable (Owner, inout Owner) -> Void
  let isEqual: @Sendable (Owner, Owner) -> Bool

  /// A member kept at `path`; `omittedWhenZero` leaves it out when it says nothing.
  package init<Value: LocalValue>(
    _ name: String,
    _ path: any WritableKeyPath<Owner, Value> & Sendable,
    omittedWhenZero: Bool = false
  ) {
    self.name = name
    read = { (reader, owner) throws(JSONError) in
      if try reader.null() {
        if let value = Value.fromNull { owner[keyPath: path] = value }
      } else {
        owner[keyPath: path] = try Value(local: &reader)
      }
    }
    write = { owner, writer in
      let value = owner[keyPath: path]
      if omittedWhenZero, value.saysNothing { return }
      writer.name(name)
      value.writeLocal(to: &writer)
    }
    copy = { $1[keyPath: path] = $0[keyPath: path] }
    isEqual = { $0[keyPath: path] == $1[keyPath: path] }
  }

  /// A member kept at `path` with a form of its own.
  init<Value: Hashable & SendableMetatype>(
    _ name: String,
    read: @escaping @Sendable (inout JSONReader, inout Owner) throws(JSONError) -> Void,
    write: @escaping @Sendable (Owner, inout JSONWriter) -> Void,
    _ path: any WritableKeyPath<Owner, Value> & Sendable
  ) {
    (self.name, self.read, self.write) = (name, read, write)
    copy = { $1[keyPath: path] = $0[keyPath: path] }
    isEqual = { $0[keyPath: path] == $1[keyPath: path] }
  }

  /// A member whose JSON form is a string, empty when there is no value.
  package init<Value: LocalText>(
    _ name: String,
    text path: any WritableKeyPath<Owner, Value?> & Sendable
  ) {
    self.init(
      name,
      read: { (reader, owner) throws(JSONError) in
        let text = try reader.null() ? "" : try reader.string()
        owner[keyPath: path] = Value(text)
        if owner[keyPath: path] == nil, !text.isEmpty { throw reader.invalid("\(Value.self)") }
      },
      write: { owner, writer in
        writer.name(name)
        writer.string(owner[keyPath: path].map(\.description) ?? "")
      },
      path
    )
  }
}

/// The members of a record, in the order they are written.
package struct LocalFields<Owner>: Sendable {
  /// The members in order.
  package let all: [LocalField<Owner>]
  private let indices: [String: Int]

  /// A record of these members.
  package init(_ all: [LocalField<Owner>]) {
    self.all = all
    indices = Dictionary(uniqueKeysWithValues: all.enumerated().map { ($1.name, $0) })
  }

  subscript(name: String) -> LocalField<Owner>? { indices[name].map { all[$0] } }
}

extension LocalFields: ExpressibleByArrayLiteral {
  package init(arrayLiteral elements: LocalField<Owner>...) { self.init(elements) }
}

/// An object of the LocalAPI, read and written by the table of its members.
///
/// Members that are not in the table are passed over; those that are missing keep what `init` says.
package protocol LocalRecord: LocalValue, JSONReadable, JSONWritable {
  /// The record in which nothing was said.
  init()
  /// Its members.
  static var fields: LocalFields<Self> { get }
}

extension LocalRecord {
  package init(reading reader: inout JSONReader) throws(JSONError) {
    var record = Self()
    try reader.object { (key, reader) throws(JSONError) in
      if let field = Self.fields[key.text] {
        try field.read(&reader, &record)
      } else {
        try reader.skip()
      }
    }
    self = record
  }

  package func write(to writer: inout JSONWriter) {
    writer.object { writer in
      for field in Self.fields.all { field.write(self, &writer) }
    }
  }

  package var saysNothing: Bool { self == Self() }

  /// This record as text, indented.
  package func text(indentation: String) -> String {
    var writer = JSONWriter(indentation: indentation)
    write(to: &writer)
    return writer.text
  }
}
