// SPDX-License-Identifier: Apache-2.0

package import Timing

/// What is wrong with the node now.
package struct HealthState: LocalRecord {
  /// The warnings by code.
  package var warnings: [String: HealthWarning] = [:]

  /// Nothing is wrong.
  package init() {}

  package static let fields: LocalFields<Self> = [LocalField("Warnings", \.warnings)]
}

/// Something that is wrong and that the user can notice.
package struct HealthWarning: LocalRecord {
  /// How bad it is.
  package enum Severity: String, Hashable, Sendable, CaseIterable {
    /// Good to know.
    case low
    /// Something does not work.
    case medium
    /// Nothing works.
    case high
  }

  /// What it is, for programs: `no-derp-connection`.
  package var code = ""
  /// How bad it is: the raw value of a `Severity`.
  package var severity = Severity.medium.rawValue
  /// A few words.
  package var title = ""
  /// What is wrong, and what clears it.
  package var text = ""
  /// Since when.
  package var brokenSince: Timestamp?
  /// The facts, by name.
  package var arguments: [String: String]?
  /// The warnings that would explain this one.
  package var dependsOn: [String]?
  /// Whether packets do not flow for it.
  package var impactsConnectivity = false
  /// What the user may do about it.
  package var primaryAction: HealthAction?
  /// Changes when the warning does.
  package var etag = ""

  package init() {}

  /// A warning.
  package init(
    code: String,
    severity: Severity,
    title: String,
    text: String,
    brokenSince: Timestamp? = nil,
    impactsConnectivity: Bool = false
  ) {
    (self.code, self.severity, self.title, self.text) = (code, severity.rawValue, title, text)
    (self.brokenSince, self.impactsConnectivity) = (brokenSince, impactsConnectivity)
  }

  package static let fields: LocalFields<Self> = [
    LocalField("WarnableCode", \.code), LocalField("Severity", \.severity),
    LocalField("Title", \.title), LocalField("Text", \.text),
    LocalField("BrokenSince", \.brokenSince, omittedWhenZero: true),
    LocalField("Args", \.arguments, omittedWhenZero: true),
    LocalField("DependsOn", \.dependsOn, omittedWhenZero: true),
    LocalField("ImpactsConnectivity", \.impactsConnectivity, omittedWhenZero: true),
    LocalField("PrimaryAction", \.primaryAction, omittedWhenZero: true),
    LocalField("ETag", \.etag, omittedWhenZero: true),
  ]
}

/// What the user may do about a warning.
package struct HealthAction: LocalRecord {
  /// Where to go.
  package var url = ""
  /// What the button says.
  package var label = ""

  package init() {}

  package static let fields: LocalFields<Self> = [
    LocalField("URL", \.url), LocalField("Label", \.label),
  ]
}

extension HealthState {
  /// The warnings in the order people read them: the worst first, then by code.
  package var sorted: [HealthWarning] {
    let order = HealthWarning.Severity.allCases.map(\.rawValue)
    func rank(_ warning: HealthWarning) -> Int { order.firstIndex(of: warning.severity) ?? 0 }
    return warnings.values.sorted { left, right in
      rank(left) == rank(right) ? left.code < right.code : rank(left) > rank(right)
    }
  }

  /// The same for clients that do not know actions: a label and a URL at the end of the text.
  package var withoutActions: HealthState {
    var plain = self
    plain.warnings = warnings.mapValues { warning in
      guard let action = warning.primaryAction else { return warning }
      var copy = warning
      copy.text += " \(action.label): \(action.url)"
      copy.primaryAction = nil
      return copy
    }
    return plain
  }
}
