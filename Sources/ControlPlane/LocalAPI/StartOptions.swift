// SPDX-License-Identifier: Apache-2.0

/// What the backend is to start with.
package struct StartOptions: LocalRecord {
  /// Names the client in logs.
  package var frontendLogID = ""
  /// The preferences to take over first.
  package var updatePreferences: Preferences?
  /// The key to log in with; empty for a login in the browser.
  package var authKey = ""

  /// As it is.
  package init() {}

  package static let fields: LocalFields<Self> = [
    LocalField("FrontendLogID", \.frontendLogID, omittedWhenZero: true),
    LocalField("UpdatePrefs", \.updatePreferences, omittedWhenZero: true),
    LocalField("AuthKey", \.authKey, omittedWhenZero: true),
  ]
}

extension StartOptions: CustomStringConvertible {
  /// Never the key.
  package var description: String {
    "StartOptions(authKey: \(authKey.isEmpty ? "none" : "[redacted]"))"
  }
}

/// An answer that says why something failed, under the key that clients look for.
package struct ErrorReply: LocalRecord {
  /// Why.
  package var error = ""

  package init() {}

  /// An answer that says why.
  package init(_ error: String) { self.error = error }

  package static let fields: LocalFields<Self> = [LocalField("Error", \.error)]
}
