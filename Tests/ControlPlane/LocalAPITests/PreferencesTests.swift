// SPDX-License-Identifier: Apache-2.0

import Addressing
import ControlProtocol
import JSON
import Keys
import LocalAPI
import Testing

@Suite("Preferences")
struct PreferencesTests {
  @Test("The defaults are written as the original writes them")
  func defaults() throws {
    try Fixtures.expect(
      Preferences().text(indentation: "\t") + "\n",
      equalsGolden: "preferences-default.json"
    )
  }

  @Test("Every preference survives being written and read")
  func roundTrip() throws {
    let preferences = everything()
    #expect(try Preferences(json: preferences.json) == preferences)
    for key in PreferenceKey.allCases where key != .internalExitNodePrior {
      #expect(Preferences().differences(from: preferences).contains(key), "\(key)")
    }
    try Fixtures.expect(
      preferences.text(indentation: "\t") + "\n",
      equalsGolden: "preferences-everything.json"
    )
  }

  @Test("Unknown members are passed over, missing ones keep their default")
  func tolerance() throws {
    let read = try Preferences(json: Array(#"{"Hostname":"a","New":[1,{}],"CorpDNS":null}"#.utf8))
    var expected = Preferences()
    expected.hostname = "a"
    #expect(read == expected)
  }

  @Test(
    "A value of another kind is refused, by the name of its member",
    arguments: [
      (#"{"Hostname":1}"#, "Hostname"), (#"{"CorpDNS":"yes"}"#, "CorpDNS"),
      (#"{"ExitNodeIP":"1.2.3"}"#, "ExitNodeIP"), (#"{"NetfilterMode":1.5}"#, "NetfilterMode"),
      (#"{"AdvertiseRoutes":["10.0.0.0"]}"#, "AdvertiseRoutes"),
      (#"{"RelayServerPort":65536}"#, "RelayServerPort"),
      (#"{"Config":{"PrivateNodeKey":"privkey:00ff"}}"#, "Config"),
    ]
  )
  func refused(text: String, member: String) {
    do throws(JSONError) {
      _ = try Preferences(json: Array(text.utf8))
      Issue.record("accepted \(text)")
    } catch {
      #expect(error.path.first == member)
    }
  }

  @Test("Clients are told no private key")
  func secrets() throws {
    var entropy = SeededGenerator(seed: 7)
    var preferences = Preferences()
    preferences.config = LoginIdentity()
    let bytes = (0..<32).map { _ in UInt8.random(in: 0...255, using: &entropy) }
    let secret = try #require(NodePrivateKey(bytes: bytes))
    preferences.config?.privateNodeKey = secret
    let told = String(decoding: preferences.withoutPrivateKeys.json, as: UTF8.self)
    #expect(!told.contains(secret.text))
    #expect(told.contains("privkey:" + String(repeating: "0", count: 64)))
    #expect(try Preferences(json: preferences.json) == preferences)
  }

  @Test("The preferences that differ are named")
  func differences() {
    var changed = Preferences()
    changed.hostname = "x"
    changed.autoUpdate.apply = false
    #expect(changed.differences(from: Preferences()) == [.hostname, .autoUpdate])
    #expect(Preferences().differences(from: Preferences()).isEmpty)
  }
}

@Suite("Edits of preferences")
struct MaskedPreferencesTests {
  private func edit(_ text: String) throws -> MaskedPreferences {
    try MaskedPreferences(json: Array(text.utf8))
  }

  @Test("A value counts only with its companion")
  func companions() throws {
    let edit = try edit(
      #"{"Hostname":"a","HostnameSet":true,"ShieldsUp":true,"CorpDNSSet":false,"CorpDNS":false}"#
    )
    #expect(edit.keys == [.hostname])
    var expected = Preferences()
    expected.hostname = "a"
    #expect(try Preferences().applying(edit) == expected)
  }

  @Test("The order of value and companion does not matter")
  func order() throws {
    #expect(try edit(#"{"HostnameSet":true,"Hostname":"a"}"#).values.hostname == "a")
  }

  @Test("The parts of the update preference are meant one by one")
  func autoUpdate() throws {
    let edit = try edit(
      #"{"AutoUpdate":{"Check":false,"Apply":true},"AutoUpdateSet":{"ApplySet":true}}"#
    )
    let changed = try Preferences().applying(edit)
    #expect(changed.autoUpdate.check)
    #expect(changed.autoUpdate.apply == true)
    #expect(throws: JSONError.self) { try self.edit(#"{"AutoUpdateSet":true}"#) }
  }

  @Test("Edits survive being written and read")
  func roundTrip() throws {
    let edit = MaskedPreferences(PreferenceKey.allCases, of: everything())
    #expect(try MaskedPreferences(json: edit.json) == edit)
    #expect(try MaskedPreferences(json: MaskedPreferences().json) == MaskedPreferences())
  }

  @Test("What the daemon keeps for itself is not for clients to set")
  func internalField() throws {
    let edit = try edit(#"{"InternalExitNodePriorSet":true}"#)
    #expect(throws: PreferenceError.internalField) { try Preferences().applying(edit) }
  }

  @Test("Naming an exit node ends its automatic choice")
  func exitNode() throws {
    var preferences = Preferences()
    preferences.autoExitNode = "any"
    preferences.internalExitNodePrior = "n1"
    let changed = try preferences.applying(edit(#"{"ExitNodeID":"","ExitNodeIDSet":true}"#))
    #expect(changed.autoExitNode == "")
    #expect(changed.internalExitNodePrior == "")
  }

  @Test("Every truncation and thousands of mutations are read or refused, never fatal")
  func robustness() throws {
    let edit = MaskedPreferences(PreferenceKey.allCases, of: everything()).json
    for count in 0..<edit.count {
      #expect(throws: JSONError.self) { try MaskedPreferences(json: Array(edit[..<count])) }
    }
    var generator = SeededGenerator(seed: 1)
    for seed in try Fixtures.corpus("LocalAPI") {
      for _ in 0..<1500 {
        let input = mutate(seed, using: &generator)
        // Either outcome is right; both must return.
        _ = try? MaskedPreferences(json: input)
        _ = try? Status(json: input)
        _ = try? Notification(json: input)
      }
    }
  }
}

@Suite("What is not served")
struct UnservedPreferenceTests {
  @Test("The defaults ask for nothing")
  func defaults() {
    for preference in UnservedPreference.allCases {
      #expect(!preference.isAsked(by: Preferences()), "\(preference)")
    }
  }

  @Test("Everything that is not served can be asked for and is refused by name")
  func refused() {
    let all = everything()
    for preference in UnservedPreference.allCases {
      #expect(preference.isAsked(by: all) || preference == .dns, "\(preference)")
      #expect(preference.refusal.contains("is not served yet"))
      #expect(preference.refusal.contains(preference.keys[0].rawValue))
    }
  }

  @Test("What was stored before stays without complaint")
  func stored() {
    var current = Preferences()
    current.runSSH = true
    var wanted = current
    wanted.hostname = "x"
    #expect(UnservedPreference.first(in: wanted, since: current) == nil)
    wanted.exitNodeID = "n1"
    #expect(UnservedPreference.first(in: wanted, since: current) == .exitNode)
  }

  @Test("DNS is the default: an edit that spells it out is refused, an up that states all is not")
  func spelledOut() throws {
    func asked(_ json: String) throws -> UnservedPreference? {
      try UnservedPreference.first(
        in: MaskedPreferences(json: Array(json.utf8)),
        of: Preferences()
      )
    }
    #expect(try asked(#"{"CorpDNSSet": true, "CorpDNS": true}"#) == .dns)
    #expect(try asked(#"{"CorpDNSSet": true, "CorpDNS": false}"#) == nil)
    #expect(try asked(#"{"CorpDNS": true}"#) == nil)
    let up = #"{"CorpDNSSet": true, "CorpDNS": true, "WantRunningSet": true, "WantRunning": true}"#
    #expect(try asked(up) == nil)
    #expect(try asked(#"{"RunSSHSet": true, "RunSSH": true}"#) == .ssh)
  }

  @Test("Turning something off is always allowed")
  func turningOff() {
    var current = Preferences()
    current.runSSH = true
    current.corpDNS = false
    #expect(UnservedPreference.first(in: Preferences(), since: current) == nil)
  }
}

@Suite("Mistyped preferences")
struct PreferenceValidationTests {
  private func error(_ change: (inout Preferences) -> Void) -> PreferenceError? {
    var preferences = Preferences()
    change(&preferences)
    do throws(PreferenceError) {
      try preferences.validate()
      return nil
    } catch { return error }
  }

  @Test("Coordination servers are http or https URLs")
  func controlURL() {
    for good in ["", "http://10.0.0.1:8080", "https://a.example/", "http://[::1]:8080"] {
      #expect(error { $0.controlURL = good } == nil, "\(good)")
    }
    for bad in [
      "example.com", "ftp://a", "http://", "http:///x", "https://a b", "http://u@h", "http://:80",
    ] {
      #expect(error { $0.controlURL = bad } == .badControlURL(bad))
    }
  }

  @Test("Host names are names")
  func hostname() {
    #expect(error { $0.hostname = "a-1.example" } == nil)
    for bad in ["-a", "a-", "a..b", "a_b", "a b", "a\n", String(repeating: "a", count: 64)] {
      #expect(error { $0.hostname = bad } == .badHostname(bad))
    }
  }

  @Test("Tags have a prefix and a name")
  func tags() {
    #expect(error { $0.advertiseTags = ["tag:a1-b"] } == nil)
    for bad in ["a", "tag:", "tag:1a", "tag:a b", "tag:a,b"] {
      #expect(error { $0.advertiseTags = [bad] } == .badTag(bad))
    }
  }

  @Test("Operators are users")
  func operatorUser() {
    #expect(error { $0.operatorUser = "alice" } == nil)
    for bad in ["1000", "-froot", "a b", "a:b", "a/b", "a\n"] {
      #expect(error { $0.operatorUser = bad } == .badOperator(bad))
    }
  }

  @Test("Routes have no bits past their length")
  func routes() {
    #expect(
      error { $0.advertiseRoutes = [IPPrefix("10.0.0.1/8")].compactMap(\.self) }
        == .routeWithHostBits("10.0.0.1/8")
    )
  }
}

/// Preferences of which none has its default.
func everything() -> Preferences {
  var all = Preferences()
  all.controlURL = "https://a.example"
  all.routeAll = true
  all.exitNodeID = "n1"
  all.exitNodeIP = IPAddress(100, 64, 0, 9)
  all.autoExitNode = "any"
  all.exitNodeAllowLANAccess = true
  all.corpDNS = false
  all.runSSH = true
  all.runWebClient = true
  all.wantRunning = true
  all.loggedOut = true
  all.shieldsUp = true
  all.advertiseTags = ["tag:a"]
  all.hostname = "h"
  all.notepadURLs = true
  all.forceDaemon = true
  all.egg = true
  all.advertiseRoutes = [IPPrefix("10.0.0.0/8"), IPPrefix("fd00::/64")].compactMap(\.self)
  all.advertiseServices = ["svc:a"]
  all.sync = false
  all.noSNAT = true
  all.noStatefulFiltering = false
  all.netfilterMode = 1
  all.operatorUser = "alice"
  all.profileName = "work"
  all.autoUpdate.check = false
  all.autoUpdate.apply = true
  all.appConnector.advertise = true
  all.postureChecking = true
  all.netfilterKind = "nftables"
  all.remoteConfig = true
  all.driveShares = [["name": "docs", "path": "/srv/docs"]]
  all.relayServerPort = 40000
  all.relayServerStaticEndpoints = [Endpoint(IPAddress(192, 0, 2, 1), port: 40000)]
  return all
}
