// SPDX-License-Identifier: Apache-2.0

package import Logging

/// Writes log lines to standard error, for a terminal or for the journal.
///
/// `info  NodeBackend: state changed  state=Running`. Under the journal each line starts with its
/// priority (`<6>`, sd-daemon(3)) and the level is left out; the journal adds the time.
package struct StandardErrorLog: LogHandler {
  package var metadata: Logger.Metadata = [:]
  package var logLevel: Logger.Level
  package var metadataProvider: Logger.MetadataProvider?
  private let label: String
  private let forJournal: Bool
  private let output: Output

  /// A log for the part named `label`.
  package init(
    label: String,
    level: Logger.Level,
    forJournal: Bool,
    output: Output = .standard
  ) {
    (self.label, self.forJournal, self.output) = (label, forJournal, output)
    logLevel = level
  }

  package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  package func log(event: LogEvent) {
    var facts = metadata
    if let more = metadataProvider?.get() { facts.merge(more) { $1 } }
    if let more = event.metadata { facts.merge(more) { $1 } }
    let head =
      forJournal
      ? "<\(event.level.journalPriority)>"
      : event.level.rawValue
        + String(repeating: " ", count: max(1, 9 - event.level.rawValue.utf8.count))
    var line = head + label + ": " + event.message.description
    for (key, value) in facts.sorted(by: { $0.key < $1.key }) { line += "  \(key)=\(value)" }
    output.complain(String(line.map { $0.isNewline ? " " : $0 }))
  }
}

extension Logger.Level {
  /// The syslog priority of this level.
  fileprivate var journalPriority: Int {
    switch self {
    case .trace, .debug: 7
    case .info: 6
    case .notice: 5
    case .warning: 4
    case .error: 3
    case .critical: 2
    }
  }
}

/// Sets up logging, once, at the start of a program.
package enum LogSetup {
  /// Sends every logger to standard error from `level` up.
  ///
  /// `JOURNAL_STREAM` in `environment`, set by the service manager, selects the journal's form.
  package static func bootstrap(level: Logger.Level, environment: [String: String]) {
    let forJournal = environment["JOURNAL_STREAM"] != nil
    LoggingSystem.bootstrap { label in
      StandardErrorLog(label: label, level: level, forJournal: forJournal)
    }
  }
}
