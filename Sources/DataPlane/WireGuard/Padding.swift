// SPDX-License-Identifier: Apache-2.0

/// How packets are padded before they are sealed.
public enum Padding {
  /// The length of a packet of `length` bytes once padded with zeros.
  ///
  /// A multiple of 16, but not past the MTU; of a packet larger than the MTU the remainder counts.
  /// Nothing (a keepalive) stays nothing.
  @inlinable public static func paddedLength(_ length: Int, mtu: Int) -> Int {
    let whole = mtu > 0 && length > mtu ? length / mtu * mtu : 0
    let rest = length - whole
    let padded = (rest + 15) & ~15
    return whole + (mtu > 0 ? min(padded, mtu) : padded)
  }
}
