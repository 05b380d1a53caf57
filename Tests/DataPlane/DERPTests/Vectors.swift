// SPDX-License-Identifier: Apache-2.0

import Bytes
import Cryptography
import Foundation
import JSON
import Keys
import Testing

/// The committed vectors of the relay protocol.
struct Vectors {
  let tree: JSONValue

  init(file: String = #filePath) throws {
    let root = file.split(separator: "/").dropLast(4).joined(separator: "/")
    let path = "/\(root)/Fixtures/Vectors/derp.json"
    tree = try JSONValue(parsing: Array(Data(contentsOf: URL(filePath: path))))
  }

  func bytes(_ name: String) throws -> [UInt8] {
    try #require(tree[name]?.string.flatMap { Hex.decode($0) })
  }

  func key(_ name: String) throws -> NodeKey {
    try #require(NodeKey(bytes: bytes(name)))
  }

  func privateKey(_ name: String) throws -> NodePrivateKey {
    try #require(NodePrivateKey(bytes: bytes(name)))
  }

  var frames: [(name: String, bytes: [UInt8])] {
    (tree["frames"]?.array ?? []).compactMap { frame in
      guard let name = frame["name"]?.string,
        let bytes = frame["frame"]?.string.flatMap({ Hex.decode($0) })
      else { return nil }
      return (name, bytes)
    }
  }

  func frame(_ name: String) throws -> [UInt8] {
    try #require(frames.first { $0.name == name }?.bytes)
  }
}

/// A key that is nobody's.
func someKey(_ seed: UInt8) -> NodePrivateKey {
  guard let key = NodePrivateKey(bytes: [UInt8](repeating: seed, count: 32)) else {
    preconditionFailure("32 bytes make a key")
  }
  return key
}
