// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLine

/// The flags of `up` and `login` that are about joining, not about settings.
struct JoinFlags: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "A key that lets this machine in, or file:PATH of one (or MARTLET_AUTHKEY).",
      valueName: "key"
    )
  )
  var authKey: String?
  @Option(
    help: ArgumentHelp("How long to wait; 0 for as long as it takes (0).", valueName: "duration"),
    transform: settingValue
  )
  var timeout: Duration?
}
