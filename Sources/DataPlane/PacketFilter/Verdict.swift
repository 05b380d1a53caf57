// SPDX-License-Identifier: Apache-2.0

/// What the filter says about a packet.
public enum Verdict: Hashable, Sendable {
  /// It may pass.
  case accept
  /// It may not.
  case drop(Reason)

  /// Why a packet may not pass.
  public enum Reason: UInt8, Hashable, Sendable, CaseIterable {
    /// It could not be read with certainty.
    case malformed
    /// It goes to a multicast address.
    case multicast
    /// It goes to a link-local address.
    case linkLocal
    /// It goes to an address that this node neither has nor routes.
    case notLocal
    /// No rule allows it.
    case rules
  }
}
