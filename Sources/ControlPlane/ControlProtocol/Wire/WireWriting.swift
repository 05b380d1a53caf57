// SPDX-License-Identifier: Apache-2.0

import JSON
import Keys
import Timing

extension JSONWriter {
  mutating func field(_ name: String, textIfSet key: some PublicKey) {
    if !key.isZero { field(name, text: key) }
  }

  mutating func field(_ name: String, textIfPresent value: (some CustomStringConvertible)?) {
    if let value { field(name, text: value) }
  }

  mutating func field(_ name: String, textsIfNonempty values: [some CustomStringConvertible]) {
    if !values.isEmpty { field(name, texts: values) }
  }

  mutating func field(_ name: String, textsIfPresent values: [some CustomStringConvertible]?) {
    if let values { field(name, texts: values) }
  }

  mutating func field(_ name: String, timeOrZero time: Timestamp?) {
    field(name, text: time ?? .zero)
  }

  mutating func field(_ name: String, base64IfPresent value: [UInt8]?) {
    if let value { field(name, base64: value) }
  }

  mutating func field(_ name: String, rawIfPresent value: [UInt8]?) {
    if let value { field(name, raw: value) }
  }

  mutating func field(_ name: String, capabilitiesIfNonempty map: [String: [[UInt8]]]) {
    if !map.isEmpty { field(name, capabilitiesIfPresent: map) }
  }

  mutating func field(_ name: String, capabilitiesIfPresent map: [String: [[UInt8]]]?) {
    guard let map else { return }
    field(name) { writer in
      writer.object { writer in
        for (capability, values) in map.sorted(by: { $0.key < $1.key }) {
          writer.field(capability) { writer in
            writer.array { writer in
              for value in values { writer.raw(value) }
            }
          }
        }
      }
    }
  }

  mutating func field(_ name: String, flagsIfNonempty flags: [Int64: Bool]) {
    if !flags.isEmpty { numbered(name, flags) }
  }

  mutating func regions(_ regions: [Int: DERPRegion]?) {
    if let regions { numbered("Regions", regions) }
  }

  mutating func regionScores(_ scores: [Int: Double]?) {
    if let scores { numbered("RegionScore", scores) }
  }

  /// A member that is an object whose names are numbers.
  private mutating func numbered(
    _ name: String,
    _ values: [some FixedWidthInteger: some JSONWritable]
  ) {
    field(name) { writer in
      writer.object { writer in
        for (number, value) in values.sorted(by: { $0.key < $1.key }) {
          writer.field(String(number), value)
        }
      }
    }
  }
}
