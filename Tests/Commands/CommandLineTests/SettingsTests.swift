// SPDX-License-Identifier: Apache-2.0

import CommandLine
import Logging
import Testing

@Suite("Settings and where they come from")
struct SettingsTests {
  private func file(_ text: String) throws -> SettingsFile {
    try SettingsFile(Array(text.utf8), path: "/etc/x.json")
  }

  @Test("A flag wins over its variable, that over the file, that over the default")
  func layers() throws {
    let file = try file(#"{"listen":["a","b"],"port":7,"plain":true,"wait":"5m","name":"f"}"#)
    let environment = ["M_PORT": "8", "M_NAME": "e", "M_LISTEN": ""]
    var settings = Settings(prefix: "M", environment: environment, file: file)
    let none: [String]? = nil
    let listen = try settings.value("listen", none, default: ["c"])
    #expect(listen == ["a", "b"])
    let port = try settings.value("port", Int?.none, default: 9)
    #expect(port == 8)
    let name = try settings.value("name", "flag", default: "d")
    #expect(name == "flag")
    let plain = try settings.value("plain", Bool?.none, default: false)
    #expect(plain)
    let wait = try settings.value("wait", Duration?.none, default: .zero)
    #expect(wait == .seconds(300))
    let level = try settings.value("log-level", Logger.Level?.none, default: .info)
    #expect(level == .info)
    let missing = try settings.value("other", UInt16?.none)
    #expect(missing == nil)
    try settings.finish()
    let titles = ["name", "port", "listen", "other"].map { settings.title(of: $0) }
    #expect(titles == ["--name", "M_PORT", "\"listen\" in /etc/x.json", "--other"])
  }

  @Test("A value that cannot be names the variable, or the key and its file")
  func wrongValues() throws {
    let file = try file(#"{"port":"tskey-auth-1"}"#)
    var settings = Settings(prefix: "M", environment: ["M_STUN_PORT": "70000"], file: file)
    let fromFile = #expect(throws: CommandError.self) { try settings.value("port", Int?.none) }
    #expect(fromFile?.message == "\"port\" in /etc/x.json cannot be \"tskey-XXXXXX\"")
    #expect(fromFile?.code == .configuration)
    let fromVariable = #expect(throws: CommandError.self) {
      try settings.value("stun-port", UInt16?.none)
    }
    #expect(fromVariable?.message == "M_STUN_PORT cannot be \"70000\"")
    #expect(fromVariable?.hint == "It takes a whole number from 0 to 65535.")
  }

  @Test("A key of the file that nobody reads is refused by name")
  func unknownKeys() throws {
    let file = try file(#"{"prot":1}"#)
    var settings = Settings(prefix: "M", environment: [:], file: file)
    _ = try settings.value("port", Int?.none)
    let error = #expect(throws: CommandError.self) { try settings.finish() }
    #expect(error?.message == "unknown key \"prot\" in /etc/x.json")
    #expect(error?.hint == "Known keys: port.")
    #expect(error?.code == .configuration)
  }

  @Test(
    "A file that is no object of plain values is refused",
    arguments: ["", "[]", "{", #"{"a":{}}"#, #"{"a":null}"#, #"{"a":[1]}"#, #"{"a":1}x"#]
  )
  func files(text: String) {
    #expect(throws: CommandError.self) { try file(text) }
  }

  @Test("A file that was named must be there; the usual one may be missing")
  func missing() throws {
    let usual = "/nonexistent/x.json"
    _ = try Settings(prefix: "M", environment: [:], file: nil, defaultFile: usual)
    for (config, environment) in [(usual, [:]), (nil, ["M_CONFIG": usual])] {
      let error = #expect(throws: CommandError.self) {
        try Settings(prefix: "M", environment: environment, file: config, defaultFile: "/")
      }
      #expect(error?.message == "cannot read /nonexistent/x.json: no such file")
    }
  }

  @Test("A setting with a form of its own names where the text came from")
  func ownForms() throws {
    var settings = Settings(prefix: "M", environment: ["M_TUN": "b/d"])
    let name = { (text: String) in text.contains("/") ? nil : text }
    let fromVariable = #expect(throws: CommandError.self) {
      try settings.value("tun", nil, expecting: "an interface name", name)
    }
    #expect(fromVariable?.message == "M_TUN cannot be \"b/d\"")
    #expect(fromVariable?.code == .configuration)
    let fromFlag = #expect(throws: CommandError.self) {
      try settings.value("tun", "a/b", expecting: "an interface name", name)
    }
    #expect(fromFlag?.message == "--tun cannot be \"a/b\"")
    #expect(fromFlag?.hint == "It takes an interface name.")
    #expect(fromFlag?.code == .usage)
    let good = try settings.value("tun", "m0", expecting: "an interface name", name)
    #expect(good == "m0")
  }

  @Test("Words spell values")
  func values() {
    #expect(Bool(settingText: "T") == true)
    #expect(Bool(settingText: "0") == false)
    #expect(Bool(settingText: "yes") == nil)
    #expect([String](settingText: " a, b ,,c") == ["a", "b", "c"])
    #expect([String](settingText: "") == [])
    #expect(UInt16(settingText: "+1") == nil)
    #expect(Logger.Level(settingText: "loud") == nil)
  }
}
