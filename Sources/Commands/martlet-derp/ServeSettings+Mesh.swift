// SPDX-License-Identifier: Apache-2.0

import Bytes
import CommandLine
import DERP
import RelayServer

/// What each connection remembers, and the other relays.
extension ServeSettings {
  /// The variable that switches the memory of connections off, whatever the flags say.
  static let cacheSwitch = "MARTLET_DEBUG_DERP_DISABLE_PEER_CACHE"
  /// What stands before the hash of a certificate, here and in relay maps.
  private static let pinPrefix = "sha256-raw:"
  /// More than this no file of a secret has.
  private static let maximumSecretFile = 4096

  static func peerCache(
    _ flags: ServeFlags,
    _ environment: [String: String],
    _ settings: inout Settings
  ) throws(CommandError) -> PeerLookupCache.Limits {
    let entries = try settings.value(
      "peer-cache-max-entries",
      flags.peerCacheMaxEntries,
      default: 0
    )
    let idle = try settings.value(
      "peer-cache-max-idle",
      flags.peerCacheMaxIdle,
      expecting: "a duration like 10m",
      DurationText.parse
    )
    guard (-1...PeerLookupCache.Limits.maximumEntries).contains(entries) else {
      throw settings.wrong(
        "peer-cache-max-entries",
        "has to be from -1 to \(PeerLookupCache.Limits.maximumEntries)"
      )
    }
    let isOff = ["1", "true"].contains(environment[cacheSwitch] ?? "")
    return isOff ? .disabled : PeerLookupCache.Limits(entries: entries, idle: idle ?? .zero)
  }

  static func mesh(
    _ flags: ServeFlags,
    _ settings: inout Settings
  ) throws(CommandError) -> (MeshKey?, [MeshPeer]) {
    let file = try settings.value("mesh-psk-file", flags.meshPskFile, default: "")
    let texts = try settings.value("mesh-with", flags.meshWith, default: [])
    var peers: [MeshPeer] = []
    for text in texts {
      guard let peer = peer(text) else {
        throw settings.wrong("mesh-with", "has to be like relay.example:443, not \"\(text)\"")
      }
      peers.append(peer)
    }
    guard !file.isEmpty else {
      guard peers.isEmpty else {
        throw CommandError("--mesh-with needs --mesh-psk-file", code: .configuration)
      }
      return (nil, [])
    }
    guard let bytes = try SmallFile.read(file, upTo: maximumSecretFile) else {
      throw CommandError("\(file), the secret of the mesh, is not there", code: .configuration)
    }
    let text = String(decoding: bytes, as: UTF8.self).filter { !$0.isWhitespace }
    guard let key = MeshKey(text) else {
      throw CommandError("\(file) does not hold 64 hex digits, not all zero", code: .configuration)
    }
    return (key, peers)
  }

  /// `name[:port][/address][=sha256-raw:hash]`; an address in IPv6 stands in brackets where a port
  /// follows.
  private static func peer(_ text: String) -> MeshPeer? {
    var (text, pin) = (text, [UInt8]?.none)
    if let mark = text.firstIndex(of: "=") {
      let hash = text[text.index(after: mark)...]
      guard hash.hasPrefix(pinPrefix), let bytes = Hex.decode(hash.dropFirst(pinPrefix.count)),
        bytes.count == 32
      else { return nil }
      (text, pin) = (String(text[..<mark]), bytes)
    }
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard let first = parts.first, parts.count <= 2, !parts.contains(where: \.isEmpty) else {
      return nil
    }
    var (host, port) = (String(first), UInt16(443))
    if let colon = first.lastIndex(of: ":"), !first.hasSuffix("]") {
      guard let number = UInt16(first[first.index(after: colon)...]), number > 0 else { return nil }
      (host, port) = (String(first[..<colon]), number)
    }
    host = host.filter { $0 != "[" && $0 != "]" }
    guard !host.isEmpty else { return nil }
    let dial = parts.count == 2 ? String(parts[1]) : nil
    return MeshPeer(host: host, port: port, dial: dial, pin: pin)
  }
}
