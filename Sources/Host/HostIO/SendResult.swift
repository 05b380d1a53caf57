// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// What became of a datagram, or of a train of them.
public enum SendResult: Hashable, Sendable {
  /// The kernel took it.
  case sent
  /// The socket's buffer is full: try again when the socket is writable.
  case wouldBlock
  /// The host has no way to that address now (no route, no address of that family, link down).
  case unreachable
  /// A datagram is larger than the path carries and may not be fragmented.
  case tooLarge
  /// A firewall of this host refused it.
  case forbidden
  /// Anything else, with its `errno`.
  case failed(Int32)

  /// What a negated `errno` says about a send.
  init(code: Int32) {
    self =
      switch code {
      case EAGAIN: .wouldBlock
      case ENETUNREACH, EHOSTUNREACH, ENETDOWN, EHOSTDOWN, EADDRNOTAVAIL, EAFNOSUPPORT, ENODEV,
        ENONET:
        .unreachable
      case EMSGSIZE: .tooLarge
      case EPERM, EACCES: .forbidden
      default: .failed(code)
      }
  }
}
