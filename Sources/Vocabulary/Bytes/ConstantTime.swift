// SPDX-License-Identifier: Apache-2.0

/// Whether two byte strings are equal, in a time that depends on their lengths only.
///
/// For secrets and everything derived from them. Inlinable: for collections that it was not made for it
/// would ask for every byte, and for their types at run time.
@inlinable
public func equalInConstantTime(
  _ left: some Collection<UInt8>,
  _ right: some Collection<UInt8>
) -> Bool {
  guard left.count == right.count else { return false }
  var difference: UInt8 = 0
  for (one, other) in zip(left, right) { difference |= one ^ other }
  return difference == 0
}
