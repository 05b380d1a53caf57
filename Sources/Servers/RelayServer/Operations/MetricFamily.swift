// SPDX-License-Identifier: Apache-2.0

import JSON

/// One thing that is measured, with a value for each of its labels: for Prometheus and for expvar.
///
/// - Source: the Prometheus text format 0.0.4; Go's `expvar`, whose maps name what is a gauge.
struct MetricFamily {
  /// How it behaves.
  enum Kind: String {
    case counter, gauge, histogram
  }

  /// What was measured under one set of labels.
  struct Sample {
    /// What follows the name of the family: `_bucket`.
    var suffix = ""
    var labels: [(name: String, value: String)] = []
    var value: Double
  }

  let name: String
  let kind: Kind
  let help: String
  /// Where it stands in `/debug/vars`: in an object of its own, or at the top.
  let variable: (set: String?, name: String)
  var samples: [Sample] = []

  /// One of ours.
  init(
    _ name: String,
    _ kind: Kind,
    _ help: String,
    _ samples: [Sample]
  ) {
    (self.name, self.kind, self.help, self.samples) = (name, kind, help, samples)
    variable = (nil, name)
  }

  /// One that has a name from of old: `name` in the set `set`, where a prefix tells its kind.
  ///
  /// - Source: Go programs publish `gauge_x` in the set `derp` and serve it as `derp_x`.
  init(in set: String?, _ name: String, _ help: String, _ samples: [Sample]) {
    let prefixes: [(String, Kind)] = [("gauge_", .gauge), ("counter_", .counter)]
    let known = prefixes.first { name.hasPrefix($0.0) }
    let bare = known.map { String(name.dropFirst($0.0.count)) } ?? name
    self.name = set.map { "\($0)_\(bare)" } ?? bare
    kind = known?.1 ?? .counter
    variable = (set, name)
    (self.help, self.samples) = (help, samples)
  }

  /// One with a single value.
  init(in set: String?, _ name: String, _ help: String, _ value: Int) {
    self.init(in: set, name, help, [Sample(value: Double(value))])
  }

  /// One with a value for each value of a label.
  init(
    in set: String?,
    _ name: String,
    _ help: String,
    by label: String,
    _ values: [(String, Int)]
  ) {
    let samples = values.map { Sample(labels: [(label, $0.0)], value: Double($0.1)) }
    self.init(in: set, name, help, samples)
  }

  // MARK: Prometheus

  /// The text that Prometheus reads.
  static func text(_ families: [MetricFamily]) -> String {
    var text = ""
    for family in families {
      text +=
        "# HELP \(family.name) \(family.help)\n# TYPE \(family.name) \(family.kind.rawValue)\n"
      for sample in family.samples {
        let labels = sample.labels.map { "\($0.name)=\"\(escaped($0.value))\"" }
        let list = labels.isEmpty ? "" : "{\(labels.joined(separator: ","))}"
        text += "\(family.name)\(sample.suffix)\(list) \(number(sample.value))\n"
      }
    }
    return text
  }

  private static func escaped(_ text: String) -> String {
    text.reduce(into: "") { result, character in
      switch character {
      case "\\": result += "\\\\"
      case "\"": result += "\\\""
      case "\n": result += "\\n"
      default: result.append(character)
      }
    }
  }

  private static func number(_ value: Double) -> String {
    Int(exactly: value).map(String.init) ?? "\(value)"
  }

  // MARK: expvar

  /// The JSON object of all values: sets as objects, values with one label as objects of its values.
  static func variables(_ families: [MetricFamily]) -> [UInt8] {
    var sets: [(name: String, members: [MetricFamily])] = []
    for family in families {
      guard let set = family.variable.set else { continue }
      if let index = sets.firstIndex(where: { $0.name == set }) {
        sets[index].members.append(family)
      } else {
        sets.append((set, [family]))
      }
    }
    var writer = JSONWriter()
    writer.object { writer in
      for family in families where family.variable.set == nil { family.write(to: &writer) }
      for (name, members) in sets {
        writer.field(name) { writer in
          writer.object { writer in for member in members { member.write(to: &writer) } }
        }
      }
    }
    return writer.bytes
  }

  private func write(to writer: inout JSONWriter) {
    writer.name(variable.name)
    if samples.count == 1, let only = samples.first, only.labels.isEmpty {
      return writer.raw(Array(Self.number(only.value).utf8))
    }
    writer.object { writer in
      for sample in samples {
        let labels = sample.labels
        let key =
          labels.count == 1
          ? labels[0].value : labels.map { "\($0.name)=\($0.value)" }.joined(separator: ",")
        writer.field(sample.suffix.isEmpty ? key : "\(sample.suffix.dropFirst()) \(key)") {
          writer in
          writer.raw(Array(Self.number(sample.value).utf8))
        }
      }
    }
  }
}
