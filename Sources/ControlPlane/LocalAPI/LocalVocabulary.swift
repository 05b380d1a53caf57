// SPDX-License-Identifier: Apache-2.0

package import Addressing
package import ControlProtocol
package import JSON
package import Keys
package import Timing

/// A value whose JSON form is a string.
package protocol LocalText: LocalValue, LosslessStringConvertible {}

extension LocalText {
  package init(local reader: inout JSONReader) throws(JSONError) {
    self = try reader.text(Self.self, "\(Self.self)")
  }

  package func writeLocal(to writer: inout JSONWriter) { writer.string(description) }
  package var saysNothing: Bool { false }
}

extension IPAddress: LocalText {}
extension IPPrefix: LocalText {}
extension Endpoint: LocalText {}
extension TailnetLockKey: LocalText {}

extension NodeKey: LocalText, LocalKey {
  package var saysNothing: Bool { isZero }
}

/// RFC 3339; the zero time stands for none.
extension Timestamp: LocalValue {
  package init(local reader: inout JSONReader) throws(JSONError) {
    guard let time = Timestamp(try reader.string()) else { throw reader.invalid("RFC 3339 time") }
    self = time
  }

  package func writeLocal(to writer: inout JSONWriter) { writer.string(description) }
  package var saysNothing: Bool { isZero }
}

extension Node: LocalValue {
  package var saysNothing: Bool { false }
}

extension UserProfile: LocalValue {
  package var saysNothing: Bool { false }
}
