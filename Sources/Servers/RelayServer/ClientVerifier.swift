// SPDX-License-Identifier: Apache-2.0

import Addressing
import HTTPTransport
import JSON
import Keys

/// Asks others whether a client may use the relay.
///
/// - Source: `Documentation/Protocols/derp.md`, admission.
package struct ClientVerifier: Hashable, Sendable {
  /// How long an answer may take.
  static let timeout = Duration.seconds(5)
  /// The longest answer of a URL that is read.
  static let maximumAnswer = 4096

  /// The socket of the node daemon on this machine: whoever it knows is admitted.
  package var daemonSocket: String?
  /// The address that is told of every client and says whether to admit it.
  package var url: String?
  /// Whether clients are admitted while nobody answers at the address.
  package var failsOpen: Bool

  /// Nobody is asked where both are nil; where both are given, both must agree.
  package init(daemonSocket: String? = nil, url: String? = nil, failsOpen: Bool = true) {
    (self.daemonSocket, self.url, self.failsOpen) = (daemonSocket, url, failsOpen)
  }

  /// Whether a text is an address that can be asked.
  package static func canAsk(_ url: String) -> Bool { HTTPURL(url) != nil }

  /// Whether anybody is asked.
  var asks: Bool { daemonSocket != nil || url != nil }

  /// What became of a question.
  enum Verdict: Hashable, Sendable {
    case admitted
    /// Nobody could be asked; the client is admitted all the same.
    case unasked(String)
    case refused(String)
  }

  /// Asks whether a client may come in.
  func judge(_ key: NodeKey, from source: Endpoint?) async -> Verdict {
    if let daemonSocket {
      let verdict = await askDaemon(daemonSocket, key)
      guard case .admitted = verdict else { return verdict }
    }
    guard let url else { return .admitted }
    return await ask(url, key, source)
  }

  private func askDaemon(_ socket: String, _ key: NodeKey) async -> Verdict {
    do {
      let answer = try await HTTPClient(timeout: Self.timeout).request(
        to: .unix(path: socket),
        host: "local-tailscaled.sock",
        path: "/localapi/v0/whois?addr=\(key)"
      )
      answer.body.cancel()
      switch answer.status {
      case 200: return .admitted
      case 404: return .refused("the daemon on this machine does not know it")
      default: return .refused("the daemon at \(socket) answered \(answer.status)")
      }
    } catch {
      return .refused("the daemon at \(socket) does not answer: \(error)")
    }
  }

  private func ask(_ url: String, _ key: NodeKey, _ source: Endpoint?) async -> Verdict {
    var question = JSONWriter()
    question.object { writer in
      writer.field("NodePublic", "\(key)")
      writer.field("Source", source?.address.description ?? "")
    }
    do {
      let answer = try await HTTPClient(timeout: Self.timeout).request(
        "POST",
        url: url,
        headers: ["Content-Type": "application/json"],
        body: question.bytes
      )
      guard answer.status == 200 else {
        answer.body.cancel()
        return .refused("\(url) answered \(answer.status)")
      }
      let isAllowed = Self.isAllowed(try await answer.collect(upTo: Self.maximumAnswer))
      return isAllowed ? .admitted : .refused("\(url) does not allow it")
    } catch let error as HTTPTransportError where error.reason == .tooLarge {
      return .refused("\(url) answered too much")
    } catch {
      let reason = "\(url) does not answer: \(error)"
      return failsOpen ? .unasked(reason) : .refused(reason)
    }
  }

  /// What an answer says; nothing else than a clear yes is one.
  static func isAllowed(_ json: [UInt8]) -> Bool {
    var isAllowed = false
    do throws(JSONError) {
      try JSONReader.read(json) { (reader) throws(JSONError) in
        try reader.fields { (key, reader) throws(JSONError) in
          if key == "Allow" { isAllowed = try reader.bool() } else { try reader.skip() }
        }
      }
    } catch { return false }
    return isAllowed
  }
}
