// SPDX-License-Identifier: Apache-2.0

import CommandLine
import Cryptography
import HTTPTransport
import Logging
import NodeCore
import PortMapping

/// What the daemon was told, checked.
struct DaemonSettings {
  var node = NodeOptions(version: Version.long)
  var socketPath = "/run/martlet/martletd.sock"
  var logLevel = Logger.Level.info

  init(_ flags: Martletd, environment: [String: String]) throws(CommandError) {
    var settings = try Settings(
      prefix: "MARTLET",
      environment: environment,
      file: flags.config,
      defaultFile: "/etc/martlet/martletd.json"
    )
    let absolute = { (text: String) in text.hasPrefix("/") ? text : nil }
    if let path = try settings.value(
      "statedir",
      flags.statedir,
      expecting: "an absolute path",
      absolute
    ) {
      node.stateDirectory = path
    }
    if let path = try settings.value(
      "socket",
      flags.socket,
      expecting: "an absolute path",
      absolute
    ) {
      socketPath = path
    }
    if let name = try settings.value(
      "tun",
      flags.tun,
      expecting: "an interface name of at most 15 letters, digits, dots, hyphens and underscores",
      Self.interfaceName
    ) {
      node.interfaceName = name
    }
    if let port = try settings.value(
      "port",
      flags.port,
      expecting: "a number from 0 to 65535",
      { UInt16($0) }
    ) {
      (node.port, node.isPortRequired) = (port, port != 0)
    }
    if let mtu = try settings.value(
      "mtu",
      flags.mtu,
      expecting: "a number from 1280 to 9000",
      Self.mtu
    ) {
      node.mtu = mtu
    }
    if let cipher = try settings.value(
      "cipher",
      flags.cipher,
      expecting: "auto, boringssl or ipsec-mb",
      Self.cipher
    ) {
      node.cipher = cipher
    }
    if let shards = try settings.value(
      "shards",
      flags.shards,
      expecting: "a number from 1 to 8",
      { Int($0).flatMap { (1...8).contains($0) ? $0 : nil } }
    ) {
      node.shards = shards
    }
    if let helpers = try settings.value(
      "helpers",
      flags.helpers,
      expecting: "a number from 0 to 4",
      { Int($0).flatMap { (0...4).contains($0) ? $0 : nil } }
    ) {
      node.helpers = helpers
    }
    if let services = try settings.value(
      "port-mapping",
      flags.portMapping,
      expecting: "on, off, or some of pcp, pmp and upnp with commas between",
      Self.portMapping
    ) {
      node.portMapping = services
    }
    try readProxies(flags, &settings, environment)
    // The variables by which the original is told the same.
    let isSet = { (name: String) in ["true", "1"].contains(environment[name] ?? "") }
    if isSet("TS_DISABLE_PORTMAPPER") { node.portMapping = [] }
    if isSet("TS_DISABLE_UPNP") { node.portMapping.remove(.upnp) }
    if let level = try settings.value(
      "log-level",
      flags.logLevel,
      expecting: "trace, debug, info, notice, warning or error",
      { Logger.Level(rawValue: $0) }
    ) {
      logLevel = level
    }
    try settings.finish()
  }

  /// The backend that is asked for; nothing inside for whatever is fastest.
  private static func cipher(_ text: String) -> PacketBackend.Name?? {
    text == "auto" ? .some(nil) : PacketBackend.Name(rawValue: text).map { .some($0) }
  }

  /// What was set counts, otherwise the variables that many programs share.
  private mutating func readProxies(
    _ flags: Martletd,
    _ settings: inout Settings,
    _ environment: [String: String]
  ) throws(CommandError) {
    if let flag = flags.proxy, HTTPProxy(flag)?.hasPassword == true {
      throw CommandError(
        "--proxy holds a password, which everybody sees in the list of processes. "
          + "Put it into MARTLET_PROXY or the configuration file.",
        code: .usage
      )
    }
    node.proxies = ProxySettings(environment: environment)
    if let proxies = try settings.value(
      "proxy",
      flags.proxy,
      expecting: "none, or http://[USER:PASSWORD@]HOST[:PORT]",
      { $0 == "none" ? ProxySettings() : HTTPProxy($0).map { ProxySettings($0) } }
    ) {
      node.proxies = proxies
    }
  }

  private static func portMapping(_ text: String) -> Set<MappingService>? {
    if text == "on" { return Set(MappingService.allCases) }
    if text == "off" { return [] }
    let named = text.split(separator: ",").map { MappingService(rawValue: String($0)) }
    let services = Set(named.compactMap(\.self))
    return services.count == named.count && !services.isEmpty ? services : nil
  }

  private static func mtu(_ text: String) -> Int? {
    Int(text).flatMap { (1280...9000).contains($0) ? $0 : nil }
  }

  private static func interfaceName(_ text: String) -> String? {
    let isPlain = text.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"),
        UInt8(ascii: "_"):
        true
      default: false
      }
    }
    return isPlain && (1...15).contains(text.utf8.count) && text != "." && text != ".." ? text : nil
  }
}
