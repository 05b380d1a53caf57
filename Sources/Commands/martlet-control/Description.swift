// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLine
import CoordinationServer
import JSON

/// `martlet-control openapi`: the description of the API, which needs no server.
struct OpenAPICommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "openapi",
    abstract: "Print the description of the API, as /openapi.json serves it."
  )

  func run() { output.print(OpenAPI.document.text(indentation: "  ")) }
}
