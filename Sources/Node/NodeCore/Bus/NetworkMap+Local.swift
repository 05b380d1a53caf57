// SPDX-License-Identifier: Apache-2.0

import ControlProtocol
import JSON
import Keys
import Netmap

extension NetworkMap {
  /// The netmap as clients on this machine read it.
  ///
  /// - Source: `Documentation/Protocols/localapi.md`, the bus.
  var localValue: JSONValue {
    var writer = JSONWriter()
    writer.object { writer in
      if let selfNode {
        writer.field("SelfNode", selfNode)
        writer.field("NodeKey", selfNode.key.description)
        writer.field("Name", selfNode.name)
      }
      writer.field("Peers") { writer in
        writer.array { writer in
          for peer in peers { peer.write(to: &writer) }
        }
      }
      if let dnsConfig { writer.field("DNS", dnsConfig) }
      if let derpMap { writer.field("DERPMap", derpMap) }
      writer.field("Domain", domain)
      writer.field("UserProfiles") { writer in
        writer.object { writer in
          for (id, profile) in userProfiles.sorted(by: { $0.key < $1.key }) {
            writer.field("\(id)", profile)
          }
        }
      }
    }
    // What was just written is JSON.
    return (try? JSONValue(parsing: writer.bytes)) ?? .null
  }
}
