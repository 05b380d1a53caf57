// SPDX-License-Identifier: Apache-2.0

public import Addressing

/// A place where this node may be reached, and how that is known.
public struct OwnEndpoint: Hashable, Sendable {
  /// How an own endpoint is known; the numbers are those that the coordination server is told.
  public enum Kind: Int, Hashable, Sendable {
    /// Not said.
    case unknown = 0
    /// An address of an interface.
    case local = 1
    /// What a STUN server saw.
    case stun = 2
    /// What a router granted.
    case portMapped = 3
    /// What a STUN server saw, with the configured port: a guess at a forwarded port.
    case stunWithLocalPort = 4
    /// Given by the administrator.
    case explicit = 5
  }

  /// Where.
  public var endpoint: Endpoint
  /// How it is known.
  public var kind: Kind

  /// An endpoint.
  public init(_ endpoint: Endpoint, _ kind: Kind) { (self.endpoint, self.kind) = (endpoint, kind) }
}
