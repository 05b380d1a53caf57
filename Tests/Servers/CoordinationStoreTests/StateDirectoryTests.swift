// SPDX-License-Identifier: Apache-2.0

import CoordinationStore
import Cryptography
import Foundation
import Testing

@Suite("The state directory")
struct StateDirectoryTests {
  @Test("It is its owner's alone, and one server's at a time")
  func exclusive() async throws {
    try await withDirectory { directory in
      let path = directory + "/a/state"
      var first: StateDirectory? = try StateDirectory(path)
      let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
      #expect(mode == 0o700 && first?.path == path)
      let error = #expect(throws: StoreError.self) { try StateDirectory(path) }
      #expect(error?.kind == .inUse)
      first = nil
      _ = try StateDirectory(path)
    }
  }

  @Test("The server's key is made once, 0600, and read ever after")
  func key() async throws {
    try await withDirectory { directory in
      let state = try StateDirectory(directory + "/state")
      var entropy = Entropy(seed: 3)
      #expect(!state.hasFile("noise.key"))
      let key = try state.machineKey("noise.key", using: &entropy)
      #expect(try state.machineKey("noise.key", using: &entropy) == key)
      let attributes = try FileManager.default.attributesOfItem(atPath: state.file("noise.key"))
      #expect(attributes[.posixPermissions] as? Int == 0o600 && state.hasFile("noise.key"))
    }
  }

  @Test(
    "A damaged key is named and left as it is, also an empty one",
    arguments: ["privkey:zz", ""]
  )
  func damagedKey(content: String) async throws {
    try await withDirectory { directory in
      let state = try StateDirectory(directory + "/state")
      var entropy = Entropy(seed: 3)
      try state.write("noise.key", Array(content.utf8))
      let error = #expect(throws: StoreError.self) {
        try state.machineKey("noise.key", using: &entropy)
      }
      #expect(error?.kind == .corrupted)
      #expect(state.hasFile("noise.key"))
      #expect(try state.read("noise.key") ?? [] == Array(content.utf8))
    }
  }

  @Test("What is set aside keeps its content, and takes its journal along")
  func setAside() async throws {
    try await withDirectory { directory in
      let state = try StateDirectory(directory + "/state")
      for content in ["first", "second"] {
        try state.write("control.sqlite", Array(content.utf8))
        try state.write("control.sqlite-wal", Array(content.utf8))
        let place = try state.setAside("control.sqlite")
        #expect(!state.hasFile("control.sqlite") && !state.hasFile("control.sqlite-wal"))
        for path in [place, place + "-wal"] {
          #expect(FileManager.default.contents(atPath: path) == Data(content.utf8))
        }
      }
      #expect(throws: StoreError.self) { try state.setAside("control.sqlite") }
    }
  }

  @Test("What is no directory is refused")
  func file() async throws {
    try await withDirectory { directory in
      try Data().write(to: URL(fileURLWithPath: directory + "/file"))
      #expect(throws: StoreError.self) { try StateDirectory(directory + "/file") }
    }
  }
}
