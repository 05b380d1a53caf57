// SPDX-License-Identifier: Apache-2.0

/// A value that is seldom there: eight bytes while it is not.
///
/// Where most members of a table are idle, what only a busy one needs is boxed. A copy is a copy of
/// the value.
public struct Boxed<Value: Sendable>: Sendable {
  /// One element or none: an array without elements owns no memory.
  @usableFromInline var storage: [Value] = []

  /// An empty box.
  @inlinable public init() {}

  /// Whether nothing is in it.
  @inlinable public var isEmpty: Bool { storage.isEmpty }

  /// What is in it; there must be something.
  @inlinable public var value: Value {
    @inline(__always) _read { yield storage[0] }
    @inline(__always) _modify { yield &storage[0] }
  }

  /// Changes what is in it, which must be something, in one access: nothing is allocated for that.
  @inlinable @inline(__always)
  public mutating func update<Result>(_ body: (inout Value) -> Result) -> Result {
    body(&storage[0])
  }

  /// Puts a value in.
  @inlinable public mutating func fill(_ value: Value) { storage = [value] }

  /// Lets go of what is in it.
  @inlinable public mutating func clear() { storage = [] }
}
