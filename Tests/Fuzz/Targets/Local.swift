// SPDX-License-Identifier: Apache-2.0

import CommandLine
import JSON
import LocalAPI

extension FuzzTarget {
  static let local = [
    FuzzTarget("Preferences", seeds: ["Goldens/LocalAPI"]) { try checkJSON(Preferences.self, $0) },
    FuzzTarget("MaskedPreferences", seeds: ["Corpora/LocalAPI"]) { bytes in
      let edit = try MaskedPreferences(json: bytes)
      try checkJSON(MaskedPreferences.self, bytes)
      _ = try Preferences().applying(edit)
    },
    FuzzTarget("StartOptions") { bytes in
      let options = try StartOptions(json: bytes)
      claim(
        options.authKey.count < 8 || !"\(options)".contains(options.authKey),
        "an auth key tells itself"
      )
      try checkJSON(StartOptions.self, bytes)
    },
    FuzzTarget("Notification", seeds: ["Corpora/LocalAPI"]) {
      try checkJSON(Notification.self, $0)
    },
    FuzzTarget("Status", seeds: ["Goldens/LocalAPI"]) { try checkJSON(Status.self, $0) },
    FuzzTarget("WhoIs", seeds: ["Goldens/LocalAPI"]) { try checkJSON(WhoIsResponse.self, $0) },
    FuzzTarget("Durations") { bytes in
      let text = String(decoding: bytes, as: UTF8.self)
      guard let duration = DurationText.parse(text) else { return }
      let written = DurationText.format(duration)
      claim(DurationText.parse(written) == duration, "\(text) was written \(written)")
      _ = DurationText.rounded(duration, to: .seconds(1))
    },
    FuzzTarget("SettingsFile") { bytes in
      _ = try SettingsFile(bytes, path: "settings")
    },
  ]
}
