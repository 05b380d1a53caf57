// SPDX-License-Identifier: Apache-2.0

/// What both ends of the LocalAPI must agree on.
package enum LocalAPIRoutes {
  /// Where the daemon listens unless told otherwise.
  package static let defaultSocketPath = "/run/martlet/martletd.sock"
  /// What clients send as `Host`; the daemon refuses any other name.
  package static let host = "local-martletd.sock"
  /// The `Host` of clients written for the original.
  package static let originalHost = "local-tailscaled.sock"
  /// What every path starts with.
  package static let prefix = "/localapi/v0/"
  /// The header in which the daemon tells its version.
  package static let versionHeader = "Tailscale-Version"
  /// The header in which the daemon tells its capability version.
  package static let capabilityHeader = "Tailscale-Cap"
}
