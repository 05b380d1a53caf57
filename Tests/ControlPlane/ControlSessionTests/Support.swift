// SPDX-License-Identifier: Apache-2.0

import Addressing
import Bytes
import ControlProtocol
import ControlSession
import Foundation
import JSON
import Keys
import Timing

/// What a test spells right.
func sure<Value>(_ value: Value?) -> Value {
  guard let value else { preconditionFailure("a test spells a value wrongly") }
  return value
}

func key(_ number: UInt8) -> NodeKey { sure(NodeKey(bytes: [UInt8](repeating: number, count: 32))) }

func discoKey(_ number: UInt8) -> DiscoKey {
  sure(DiscoKey(bytes: [UInt8](repeating: number, count: 32)))
}

/// A moment that is not the origin.
let start = Instant(nanoseconds: 5_000_000_000_000)

func hostinfo(_ name: String = "host") -> Hostinfo {
  var hostinfo = Hostinfo()
  hostinfo.hostname = name
  return hostinfo
}

func response(_ adapt: (inout MapResponse) -> Void) -> MapResponse {
  var response = MapResponse()
  adapt(&response)
  return response
}
