// SPDX-License-Identifier: Apache-2.0

public import Tables

extension SlotHash {
  /// The tag of an address.
  @inlinable
  public func tag(_ address: IPAddress) -> UInt32 {
    tag(address.high ^ UInt64(address.family.rawValue) << 32, address.low)
  }

  /// The tag of an endpoint.
  @inlinable
  public func tag(_ endpoint: Endpoint) -> UInt32 {
    let words = (endpoint.address.high ^ UInt64(endpoint.port) << 48, endpoint.address.low)
    return tag(words.0 ^ UInt64(endpoint.address.family.rawValue) << 40, words.1)
  }
}
