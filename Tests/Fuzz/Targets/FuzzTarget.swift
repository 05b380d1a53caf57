// SPDX-License-Identifier: Apache-2.0

import JSON

/// A parser of bytes that strangers write, as a function of bytes.
///
/// What it is given it reads or refuses: a thrown error is a proper answer, a crash or a broken claim
/// is a finding. `make fuzz TARGET=name` looks for one; `make test` replays what is in the corpus.
struct FuzzTarget: Sendable, CustomStringConvertible {
  /// Its name, and that of its folder under `Fixtures/Corpora`.
  let name: String
  /// Other folders and files under `Fixtures` that begin its corpus.
  let seeds: [String]
  /// In how many places the replay cuts an input off: fewer, where each run begins with a handshake.
  let cuts: Int
  private let body: @Sendable ([UInt8]) throws -> Void

  /// A target.
  init(
    _ name: String,
    seeds: [String] = [],
    cuts: Int = 1024,
    _ body: @escaping @Sendable ([UInt8]) throws -> Void
  ) {
    (self.name, self.seeds, self.cuts, self.body) = (name, seeds, cuts, body)
  }

  var description: String { name }

  /// Gives it bytes.
  func run(_ bytes: [UInt8]) {
    // A refusal is what bad bytes deserve.
    try? body(bytes)
  }

  /// Every target.
  static let all: [FuzzTarget] = cores + drivers

  private static let cores =
    vocabulary + control + session + discovery + relay + packets + pipelines + policies
    + portMapping

  #if CORES_ONLY
  /// Left out with the packages that they stand on.
  private static let drivers: [FuzzTarget] = []
  #else
  private static let drivers = host + local
  #endif

  /// The target of a name.
  static func named(_ name: String) -> FuzzTarget? { all.first { $0.name == name } }
}

/// Says that something must hold, and ends the program where it does not.
func claim(_ holds: Bool, _ what: @autoclosure () -> String) {
  guard holds else { fatalError(what()) }
}

/// Input that is several messages: each one byte of order, two of length, and that many bytes.
///
/// The last one may be cut short; no bytes are refused.
struct Script: Sequence, IteratorProtocol {
  private var rest: ArraySlice<UInt8>

  init(_ bytes: [UInt8]) { rest = bytes[...] }

  mutating func next() -> (order: Int, body: [UInt8])? {
    guard let order = rest.popFirst() else { return nil }
    let length = rest.prefix(2).reduce(0) { $0 << 8 | Int($1) }
    rest = rest.dropFirst(2)
    defer { rest = rest.dropFirst(length) }
    return (Int(order), Array(rest.prefix(length)))
  }
}

/// Reads `text` as a value that is written the same again.
func checkText<Value: LosslessStringConvertible & Equatable>(_: Value.Type, _ text: String) {
  guard let value = Value(text) else { return }
  claim(Value(value.description) == value, "\(Value.self) is not what it says: \(value)")
}

/// Reads `bytes` as a value that is written and read again without a change.
func checkJSON<Value: JSONReadable & JSONWritable>(_: Value.Type, _ bytes: [UInt8]) throws {
  func written(_ value: Value) -> [UInt8] {
    var writer = JSONWriter()
    value.write(to: &writer)
    return writer.bytes
  }
  let first = written(try Value(json: bytes))
  guard let again = try? Value(json: first) else {
    fatalError("\(Value.self) refuses what it wrote: \(String(decoding: first, as: UTF8.self))")
  }
  claim(written(again) == first, "\(Value.self) changes each time it is written")
}
