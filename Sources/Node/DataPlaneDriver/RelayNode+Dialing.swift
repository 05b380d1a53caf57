// SPDX-License-Identifier: Apache-2.0

import Addressing
import Bytes
package import DERP
package import HTTPTransport

/// How a relay of the relay map is reached and recognised.
extension RelayNode {
  private static let pinPrefix = "sha256-raw:"

  /// The addresses or names to dial, the preferred one first; none when both families are off.
  ///
  /// Where an address is given for one family only, the name stands for the other.
  var dialHosts: [String] {
    let literals = [ipv4, ipv6].filter { IPAddress($0) != nil }
    let mayAsk = ipv4.isEmpty || ipv6.isEmpty
    return literals + (mayAsk && !literals.contains(hostName) ? [hostName] : [])
  }

  /// The port of the relay.
  var dialPort: UInt16 { derpPort == 0 ? 443 : UInt16(clamping: derpPort) }

  /// Whom to trust.
  var tls: TLSClientSettings {
    if insecureForTests { return .unverified(hostname: hostName) }
    if certName.hasPrefix(Self.pinPrefix) {
      // A pin that cannot be read matches no certificate.
      let pin = Hex.decode(certName.dropFirst(Self.pinPrefix.count)) ?? []
      return .pinned(sha256: pin, hostname: hostName)
    }
    return .systemRoots(hostname: certName.isEmpty ? hostName : certName)
  }

  /// What stands in the Host field.
  package var hostField: String { dialPort == 443 ? hostName : "\(hostName):\(dialPort)" }

  /// How much later the second address is tried, and so on, while those before have not answered.
  private static let stagger = Duration.milliseconds(250)

  /// Connects to the relay by whichever of its addresses answers first.
  ///
  /// A proxy is told the name, and finds the address itself.
  ///
  /// - Parameters:
  ///   - dialer: How connections are made.
  ///   - timeout: How long each address may take.
  /// - Returns: A connection, encrypted and with whom it should be.
  /// - Throws: Why the preferred address could not be reached.
  /// - Source: RFC 8305 §5.
  package func dial(_ dialer: Dialer, timeout: Duration) async throws -> ByteStream {
    let isProxied = dialer.usesProxy(for: hostName, port: dialPort, isSecure: true)
    let hosts = isProxied ? [hostName] : dialHosts
    return try await withThrowingTaskGroup(of: Result<ByteStream, any Error>.self) { group in
      for (place, host) in hosts.enumerated() {
        group.addTask {
          if place > 0 { try await Task.sleep(for: Self.stagger * place) }
          do {
            return .success(
              try await dialer.dial(host: host, port: dialPort, tls: tls, timeout: timeout)
            )
          } catch { return .failure(error) }
        }
      }
      var failure: (any Error)?
      while let result = try await group.next() {
        switch result {
        case .success(let stream):
          group.cancelAll()
          // Whoever else got through meanwhile is not needed.
          while let late = await group.nextResult() {
            if case .success(.success(let other)) = late { other.abort() }
          }
          return stream
        case .failure(let error): failure = failure ?? error
        }
      }
      throw failure
        ?? HTTPTransportError(.unreachable, "cannot reach the relay \(name): it has no address")
    }
  }
}
