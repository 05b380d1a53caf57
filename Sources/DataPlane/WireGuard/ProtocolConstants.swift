// SPDX-License-Identifier: Apache-2.0

/// The numbers of the protocol.
///
/// - Source: `Documentation/Protocols/wireguard.md`, constants and timers; WireGuard paper §6.
enum ProtocolConstants {
  static let rekeyAfterMessages: UInt64 = 1 << 60
  /// The first counter that is neither sent nor accepted: 2⁶⁴ − 2¹³ − 1.
  static let rejectAfterMessages = UInt64.max - (1 << 13)

  static let rekeyAfterTime = Duration.seconds(120)
  static let rejectAfterTime = Duration.seconds(180)
  static let rekeyTimeout = Duration.seconds(5)
  static let keepaliveTimeout = Duration.seconds(10)
  /// Data went out and nothing came back for so long: the session may be gone.
  static let newHandshakeTimeout = keepaliveTimeout + rekeyTimeout
  /// A session that still receives at this age is renewed, so that replies do not hit its end.
  static let rekeyAfterTimeReceiving = rejectAfterTime - keepaliveTimeout - rekeyTimeout
  static let jitterMaximum = Duration.milliseconds(333)
  /// Nothing of a session is kept for longer.
  static let forgetAfterTime = rejectAfterTime * 3
  static let attemptsMaximum = 18

  static let initiationInterval = Duration.milliseconds(20)
  static let cookieLifetime = Duration.seconds(120)

  static let stagedMaximum = 128
  static let peersMaximum = 65_536
}
