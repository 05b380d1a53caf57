// SPDX-License-Identifier: Apache-2.0

extension RegisterAuth: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  /// Never the secret.
  package var description: String { "RegisterAuth([redacted])" }
  /// Never the secret.
  package var debugDescription: String { description }
  /// Nothing, so that a dump shows no secret either.
  package var customMirror: Mirror { Mirror(self, children: []) }
}
