// SPDX-License-Identifier: Apache-2.0

/// The version of the control protocol, a number that grows with every change of meaning.
package enum CapabilityVersion {
  /// The version that we speak.
  package static let current = 138
}
