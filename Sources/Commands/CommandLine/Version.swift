// SPDX-License-Identifier: Apache-2.0

/// What this build calls itself.
package enum Version {
  /// The version people talk about: major, minor and patch.
  package static let short = "0.1.0"

  /// The commit this was built from; empty when the build did not say.
  ///
  /// Release builds replace this line; nothing else may depend on its form.
  package static let commit = ""

  /// The short version, and the commit when it is known: `0.1.0-t1a2b3c4d5`.
  package static var long: String {
    commit.isEmpty ? short : short + "-t" + commit.prefix(9)
  }
}
