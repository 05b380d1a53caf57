// SPDX-License-Identifier: Apache-2.0

import Addressing
import ControlProtocol
import HTTPTransport
import JSON
import Keys
import LocalAPI

extension LocalAPIHandler {
  /// `status`: how the node is doing.
  func status(_ call: Call) async -> HTTPResponse {
    let includingPeers = call.target.bool("peers", default: true)
    return .indented(await node.status(includingPeers: includingPeers))
  }

  /// `whois`: who is behind an address or has a key.
  func whoIs(_ call: Call) async -> HTTPResponse {
    guard call.isRead else { return .text("use GET", status: 405) }
    let text = call.target["addr"]
    let transport = call.target["proto"]
    guard ["", "tcp", "udp"].contains(transport) else {
      return .text("invalid 'proto' parameter: it is tcp or udp", status: 400)
    }
    guard !text.isEmpty else { return .text("missing 'addr' parameter", status: 400) }
    let answer: WhoIsResponse?
    if text.hasPrefix(NodeKey.prefix) {
      guard let key = NodeKey(text) else { return .text("invalid 'addr' parameter", status: 400) }
      answer = await node.whoIs(key)
    } else if let endpoint = Endpoint(text) {
      answer = await node.whoIs(endpoint.address, port: endpoint.port, transport: transport)
    } else if let address = IPAddress(text) {
      answer = await node.whoIs(address, port: 0, transport: transport)
    } else {
      return .text("invalid 'addr' parameter", status: 400)
    }
    guard let answer else { return .text("no match for IP:port", status: 404) }
    return .indented(answer)
  }

  /// `peer-by-id`: a node of the netmap.
  func peer(_ call: Call) async -> HTTPResponse {
    guard call.isRead else { return .text("use GET", status: 405) }
    guard let id = Int64(call.target["id"]), id > 0 else {
      return .text("invalid 'id' parameter", status: 400)
    }
    guard let found = await node.node(withID: id) else {
      return .text("no such peer", status: 404)
    }
    return .json(found)
  }

  /// `user-profile`: a user of the netmap.
  func userProfile(_ call: Call) async -> HTTPResponse {
    guard call.isRead else { return .text("use GET", status: 405) }
    guard let id = Int64(call.target["id"]), id > 0 else {
      return .text("invalid 'id' parameter", status: 400)
    }
    guard let found = await node.userProfile(withID: id) else {
      return .text("no such user", status: 404)
    }
    return .json(found)
  }

  /// `derpmap`: the relays, or null.
  func relayMap(_ call: Call) async -> HTTPResponse {
    guard call.isRead else { return .text("want GET", status: 400) }
    return .indented(await node.relayMap())
  }

  /// `dns-config`: the DNS settings of the netmap.
  func dnsConfiguration(_ call: Call) async -> HTTPResponse {
    guard call.isRead else { return .text("use GET", status: 405) }
    guard let found = await node.dnsConfiguration() else {
      return .text("no netmap", status: 503)
    }
    return .json(found)
  }

  /// `usermetrics`: the counters that users are promised.
  func userMetrics(_ call: Call) async -> HTTPResponse { .metrics(await node.userMetrics()) }

  /// `metrics`: all counters.
  func clientMetrics(_ call: Call) async -> HTTPResponse { .metrics(await node.clientMetrics()) }

  /// `debug-peer-relay-sessions`: what the peer relay is doing.
  func relaySessions(_ call: Call) async -> HTTPResponse {
    guard call.isRead else { return .text("GET required", status: 405) }
    return .json(await node.relaySessions().json)
  }

  /// `ping`: asks a peer whether it is there.
  func ping(_ call: Call) async -> HTTPResponse {
    guard call.method == "POST" else { return .text("want POST", status: 400) }
    guard let address = IPAddress(call.target["ip"]) else {
      return .text(
        call.target["ip"].isEmpty ? "missing 'ip' parameter" : "invalid IP",
        status: 400
      )
    }
    guard !call.target["type"].isEmpty else {
      return .text("missing 'type' parameter", status: 400)
    }
    guard let kind = PingKind(rawValue: call.target["type"]) else {
      return .text("invalid 'type' parameter: it is disco, TSMP, ICMP or peerapi", status: 400)
    }
    let sizeText = call.target["size"]
    guard let size = sizeText.isEmpty ? 0 : Int(sizeText), (0...65_535).contains(size) else {
      return .text("invalid 'size' parameter", status: 400)
    }
    guard size == 0 || kind == .disco else {
      return .text("'size' parameter is only supported with disco pings", status: 400)
    }
    do {
      return .json(try await node.ping(address, kind: kind, size: size))
    } catch {
      return .error(error)
    }
  }

  /// `debug-portmap`: what the gateway offers and forwards, as text or with `format=json`.
  func portMapping(_ call: Call) async -> HTTPResponse {
    guard ["", "text", "json"].contains(call.target["format"]) else {
      return .text("invalid 'format' parameter: it is text or json", status: 400)
    }
    let report = await node.portMapping()
    return call.target["format"] == "json" ? .json(report) : .text(report.text)
  }

  /// `netcheck`: measures the network. (The original's command line measures by itself.)
  func netcheck(_ call: Call) async -> HTTPResponse {
    guard call.method == "POST" else { return .text("want POST", status: 400) }
    do {
      return .json(try await node.netcheck())
    } catch {
      return .error(error)
    }
  }
}
