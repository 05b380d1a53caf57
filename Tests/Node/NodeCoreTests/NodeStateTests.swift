// SPDX-License-Identifier: Apache-2.0

import Cryptography
import JSON
import Keys
import LocalAPI
import Testing

@testable import NodeCore

@Suite("What a node remembers")
struct NodeStateTests {
  @Test("a state that was written is read as it was")
  func roundTrip() throws {
    var entropy = Entropy(seed: 1)
    var state = NodeState(using: &entropy)
    var preferences = Preferences()
    preferences.controlURL = "https://control.example"
    preferences.hostname = "nest"
    var identity = LoginIdentity()
    identity.privateNodeKey = .generate(using: &entropy)
    identity.nodeID = "n1"
    preferences.config = identity
    state.remember(preferences, using: &entropy)
    let read = try NodeState(parsing: state.encoded, using: &entropy)
    #expect(read == state)
    #expect(read.machineKey == state.machineKey)
    #expect(read.preferences.config?.privateNodeKey == identity.privateNodeKey)
  }

  @Test("forgetting the network keeps the machine's key and nothing of the login")
  func forget() throws {
    var entropy = Entropy(seed: 2)
    var state = NodeState(using: &entropy)
    let machineKey = state.machineKey
    var preferences = Preferences()
    preferences.config = LoginIdentity()
    preferences.config?.privateNodeKey = .generate(using: &entropy)
    state.remember(preferences, using: &entropy)
    state.forgetNetwork()
    let read = try NodeState(parsing: state.encoded, using: &entropy)
    #expect(read.machineKey == machineKey)
    #expect(read.preferences.config == nil)
    #expect(read.preferences.loggedOut)
  }

  @Test("values of another program survive")
  func foreign() throws {
    var entropy = Entropy(seed: 3)
    let text = #"{"_machinekey":"","_else":"YWJj"}"#
    #expect(throws: JSONError.self) { try NodeState(parsing: Array(text.utf8), using: &entropy) }
    let state = try NodeState(parsing: Array(#"{"_else":"YWJj"}"#.utf8), using: &entropy)
    #expect(String(decoding: state.encoded, as: UTF8.self).contains(#""_else": "YWJj""#))
  }

  @Test("a truncated or altered file is an error at every length, never a crash")
  func damaged() throws {
    var entropy = Entropy(seed: 4)
    var state = NodeState(using: &entropy)
    state.remember(Preferences(), using: &entropy)
    let bytes = state.encoded
    for count in 0..<bytes.count - 2 {
      let piece = Array(bytes[..<count])
      #expect(throws: JSONError.self) { try NodeState(parsing: piece, using: &entropy) }
    }
    var generator = Entropy(seed: 5)
    for _ in 0..<2000 {
      var mutated = bytes
      for _ in 0..<Int.random(in: 1...4, using: &generator) {
        let index = Int.random(in: 0..<mutated.count, using: &generator)
        mutated[index] = UInt8.random(in: 0...255, using: &generator)
      }
      _ = try? NodeState(parsing: mutated, using: &entropy)
    }
  }
}
