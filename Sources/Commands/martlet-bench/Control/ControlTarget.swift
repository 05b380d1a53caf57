// SPDX-License-Identifier: Apache-2.0

import CommandLine
import ControlProtocol
import HTTPTransport
import JSON
import Keys

/// The server that is loaded: where it is, and what it costs.
struct ControlTarget: Sendable {
  let socket: String
  let port: UInt16
  let pid: Int
  let publicKey: MachineKey

  init(socket: String, port: UInt16, pid: Int) async throws {
    (self.socket, self.port, self.pid) = (socket, port, pid)
    let answer = try await HTTPClient().request(
      "GET",
      url: "http://127.0.0.1:\(port)/key?v=\(CapabilityVersion.current)"
    )
    publicKey = try ServerKeys(json: try await answer.collect(upTo: 4096)).publicKey
  }

  /// An administrator's call.
  @discardableResult
  func call(_ method: String, _ path: String, _ body: JSONValue? = nil) async throws -> JSONValue {
    let response = try await HTTPClient().request(
      method,
      to: .unix(path: socket),
      path: "/api/v1/" + path,
      body: body?.json ?? []
    )
    let answer = try JSONValue(json: try await response.collect(upTo: 64 << 20))
    guard response.status == 200 else {
      throw CommandError("\(path): \(answer["detail"]?.string ?? "status \(response.status)")")
    }
    return answer
  }

  /// A reusable key for the nodes of a user or a tag.
  func key(user: String?, tag: String?) async throws -> String {
    var body: JSONObject = ["reusable": true]
    if let user { body["user"] = .string(user) }
    if let tag { body["aclTags"] = [.string(tag)] }
    let made = try await call("POST", "preauthkey", .object(body))
    return made["preAuthKey"]?["key"]?.string ?? ""
  }

  /// A line of the process's status, such as `VmRSS:`.
  func megabytes(_ name: String) -> Double {
    let line = text("status").split(separator: "\n").first { $0.hasPrefix(name) } ?? ""
    let kilobytes = line.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first
    return (kilobytes.flatMap { Double($0) } ?? 0) / 1024
  }

  /// How long the process has been on a processor.
  var processorSeconds: Double {
    let fields = text("stat").split(separator: ")").last?.split(separator: " ") ?? []
    return fields.dropFirst(11).prefix(2).compactMap { Double($0) }.reduce(0, +) / 100
  }

  private func text(_ name: String) -> String {
    // A process that is gone costs nothing.
    guard let bytes = try? SmallFile.read("/proc/\(pid)/\(name)") else { return "" }
    return String(decoding: bytes, as: UTF8.self)
  }
}
