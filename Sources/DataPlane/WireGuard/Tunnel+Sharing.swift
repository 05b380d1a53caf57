// SPDX-License-Identifier: Apache-2.0

public import Keys
public import Timing

/// An initiation that passed the gate and names a peer, which may be another tunnel's.
public struct ScreenedInitiation: Sendable {
  let initiation: ReceivedInitiation
  /// Who says to have sent it; only its owner can tell whether that is so.
  public var peer: NodeKey { initiation.peer }
}

/// What several tunnels of one node need besides: routes that they share, and handshakes that one of
/// them receives for all.
extension Tunnel {
  /// What became of a message that was screened.
  public enum Screening: Sendable {
    /// The peer that it names is to judge it.
    case initiation(ScreenedInitiation)
    /// It is none, or did not pass.
    case dropped(DropReason)
  }

  /// Takes the routes of all peers, those of other tunnels among them, instead of its own peers'.
  ///
  /// The peers of a tunnel that shares its routes are configured without allowed addresses.
  public mutating func setRoutes(_ routes: AllowedIPs) { allowedIPs = routes }

  /// Takes an initiation up to the point where it says whom it is from.
  ///
  /// Whoever screens must do so for all: load is judged by what one gate sees.
  public mutating func screen(
    _ message: [UInt8],
    from source: [UInt8],
    at now: Instant,
    into effects: inout Effects
  ) -> Screening {
    guard message.count == HandshakeMessage.Initiation.length,
      let parsed = HandshakeMessage.Initiation(message)
    else { return .dropped(note(.wrongLength)) }
    switch local.gate.refusal(of: message, from: source, at: now, using: &local.entropy) {
    case .wrongMAC1: return .dropped(note(.wrongMAC1))
    case .tooMany: return .dropped(note(.rateLimited))
    case .cookie(let reply):
      effects.replies.append(.init(bytes: reply))
      return .dropped(note(.cookieSent))
    case nil: break
    }
    guard let initiation = ReceivedInitiation(parsed, identity: local.identity) else {
      return .dropped(note(.notAuthentic))
    }
    return .initiation(ScreenedInitiation(initiation: initiation))
  }

  /// Takes an initiation that this tunnel or another one screened.
  public mutating func receive(
    _ screened: ScreenedInitiation,
    at now: Instant,
    timestamp wall: Timestamp,
    into effects: inout Effects
  ) -> Received {
    receive(screened.initiation, at: Moment(now: now, wall: wall), into: &effects)
  }

  private mutating func note(_ reason: DropReason) -> DropReason {
    _ = counters.drop(reason)
    return reason
  }
}
