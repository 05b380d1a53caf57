// SPDX-License-Identifier: Apache-2.0

import HostIO
import Packets

extension TUNDevice.Features {
  /// What may be joined for a device with these offloads.
  ///
  /// Without checksums the host would take a super-packet for damaged.
  var joining: Joining {
    guard contains(.checksum) else { return [] }
    let pairs: [(Self, Joining)] = [
      (.tcp4, .tcp4), (.tcp6, .tcp6), (.udp4, .udp4), (.udp6, .udp6),
    ]
    return pairs.reduce(into: []) { if contains($1.0) { $0.formUnion($1.1) } }
  }
}
