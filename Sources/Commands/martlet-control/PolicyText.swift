// SPDX-License-Identifier: Apache-2.0

import CommandLine
import Coordination
import CoordinationServer
import JSON

/// Reads the files that the policy commands are given.
enum PolicyText {
  /// How much a topology may hold.
  private static let maximumTopology = 256 * 1024 * 1024

  /// The text of a policy at `path`; `-` means what comes in.
  static func read(_ path: String) throws(CommandError) -> String {
    let bytes = try SmallFile.read(path == "-" ? "/dev/stdin" : path)
    guard let bytes else { throw CommandError("cannot read \(path): no such file") }
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw CommandError("\(path) is no text: it is not UTF-8")
    }
    return text
  }

  /// The policy that a server is to begin with; what is wrong with it does not stop the server.
  static func file(_ path: String) -> ServerOptions.PolicyFile {
    do throws(CommandError) {
      return ServerOptions.PolicyFile(path: path, content: .success(try read(path)))
    } catch {
      return ServerOptions.PolicyFile(path: path, content: .failure(.invalid(error.message)))
    }
  }

  /// The topology at `path`, by itself or as the member `topology` of something else.
  static func topology(_ path: String) throws(CommandError) -> JSONValue {
    guard let bytes = try SmallFile.read(path == "-" ? "/dev/stdin" : path, upTo: maximumTopology)
    else { throw CommandError("cannot read \(path): no such file") }
    do throws(JSONError) {
      let value = try JSONValue(parsing: bytes)
      return value["topology"] ?? value
    } catch {
      throw CommandError("\(path) is no topology: \(error)")
    }
  }

  /// What a policy comes to for a topology.
  static func evaluate(
    policy: String,
    topology: String,
    node: String? = nil
  ) throws(CommandError) -> PolicyEvaluation.Result {
    let text = try read(policy)
    let world = try self.topology(topology)
    do throws(PolicyEvaluation.TopologyError) {
      return try PolicyEvaluation.evaluate(policy: Array(text.utf8), topology: world, node: node)
    } catch {
      throw CommandError(error.message)
    }
  }
}
