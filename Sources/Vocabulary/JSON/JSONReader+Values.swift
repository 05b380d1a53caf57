// SPDX-License-Identifier: Apache-2.0

import Bytes

/// A value that knows its JSON form and can be read from it.
public protocol JSONReadable {
  /// Reads the value, consuming exactly one JSON value.
  init(reading reader: inout JSONReader) throws(JSONError)
}

extension JSONReadable {
  /// Reads the value that is all of `bytes`.
  public init(json bytes: [UInt8]) throws(JSONError) {
    self = try JSONReader.read(bytes) { (reader) throws(JSONError) in try Self(reading: &reader) }
  }
}

extension JSONReader {
  /// Reads a value of a type that knows its JSON form.
  public mutating func value<Value: JSONReadable>(
    _: Value.Type = Value.self
  ) throws(JSONError) -> Value {
    try Value(reading: &self)
  }

  /// Reads a string and the value that it spells; one that spells none is said not to be a `wanted`.
  public mutating func text<Value: LosslessStringConvertible>(
    _: Value.Type = Value.self,
    _ wanted: String
  ) throws(JSONError) -> Value {
    guard let value = Value(try string()) else { throw invalid(wanted) }
    return value
  }

  /// Reads a string of base-64 text; null is no bytes.
  public mutating func base64() throws(JSONError) -> [UInt8] {
    if try null() { return [] }
    guard let decoded = Base64.decode(try string()) else { throw invalid("base64 text") }
    return decoded
  }

  /// Reads an array with `element`; null elements are passed over, null itself is an empty array.
  public mutating func list<Element>(
    _ element: (inout JSONReader) throws(JSONError) -> Element
  ) throws(JSONError) -> [Element] {
    var list: [Element] = []
    guard try !null() else { return list }
    try array { (reader) throws(JSONError) in
      if try !reader.null() { list.append(try element(&reader)) }
    }
    return list
  }

  /// Reads an array of values of a type that knows its JSON form.
  public mutating func list<Element: JSONReadable>(
    of _: Element.Type = Element.self
  ) throws(JSONError) -> [Element] {
    try list { (reader) throws(JSONError) in try Element(reading: &reader) }
  }

  /// Reads an object as a dictionary; null itself is an empty one.
  ///
  /// `key` makes a key of a name, or nil when the name spells none: then the object is refused.
  /// `value` reads a value, null or not.
  public mutating func dictionary<Key: Hashable, Value>(
    key: (String) -> Key?,
    value: (inout JSONReader) throws(JSONError) -> Value
  ) throws(JSONError) -> [Key: Value] {
    var dictionary: [Key: Value] = [:]
    guard try !null() else { return dictionary }
    try object { (name, reader) throws(JSONError) in
      guard let key = key(name.text) else { throw reader.invalid("member name") }
      dictionary[key] = .some(try value(&reader))
    }
    return dictionary
  }

  /// Reads an object as a dictionary by name; null itself is an empty one.
  public mutating func dictionary<Value>(
    _ value: (inout JSONReader) throws(JSONError) -> Value
  ) throws(JSONError) -> [String: Value] {
    try dictionary(key: { $0 }, value: value)
  }
}

extension String: JSONReadable {
  /// Reads a string.
  public init(reading reader: inout JSONReader) throws(JSONError) { self = try reader.string() }
}

extension Bool: JSONReadable {
  /// Reads `true` or `false`.
  public init(reading reader: inout JSONReader) throws(JSONError) { self = try reader.bool() }
}

extension Double: JSONReadable {
  /// Reads a number.
  public init(reading reader: inout JSONReader) throws(JSONError) { self = try reader.double() }
}

extension Int: JSONReadable {
  /// Reads an integer exactly.
  public init(reading reader: inout JSONReader) throws(JSONError) { self = try reader.integer() }
}

extension Int64: JSONReadable {
  /// Reads an integer exactly.
  public init(reading reader: inout JSONReader) throws(JSONError) { self = try reader.integer() }
}
