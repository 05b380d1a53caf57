// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLine
import HostIO
import JSON

extension ParsableCommand {
  /// Prints what was measured: one JSON object on one line.
  func report(_ members: (inout JSONWriter) -> Void) {
    var writer = JSONWriter()
    writer.object(members)
    output.print(writer.text)
  }
}

extension JSONWriter {
  /// Writes a member that is a number.
  mutating func number(_ name: String, _ value: some FixedWidthInteger) {
    self.name(name)
    integer(value)
  }

  /// Writes a member that is a number with a fraction.
  mutating func number(_ name: String, _ value: Double) {
    self.name(name)
    double(value)
  }

  /// Writes a member that is a text.
  mutating func text(_ name: String, _ value: String) {
    self.name(name)
    string(value)
  }
}

/// What `body` returns; a failure of the host becomes one that is told to a person.
func hostCall<Value: ~Copyable>(
  _ body: () throws(HostError) -> Value
) throws(CommandError) -> Value {
  do throws(HostError) {
    return try body()
  } catch {
    throw CommandError("\(error)")
  }
}
