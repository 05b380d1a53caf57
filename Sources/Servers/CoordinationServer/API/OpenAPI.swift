// SPDX-License-Identifier: Apache-2.0

internal import Coordination
package import JSON

/// The description of the API, made of the table of its routes.
package enum OpenAPI {
  /// The document: OpenAPI 3.1.
  ///
  /// - Source: OpenAPI Specification 3.1.0.
  package static var document: JSONValue {
    var paths = JSONObject()
    for route in APIRoutes.all {
      var methods = paths[route.path]?.object ?? JSONObject()
      methods[route.method.lowercased()] = operation(route)
      paths[route.path] = .object(methods)
    }
    let schemas = Form.all.reduce(into: JSONObject()) { $0[$1.key] = $1.value }
    return [
      "openapi": "3.1.0",
      "info": [
        "title": "Martlet coordination server", "version": "2",
        "license": ["name": "Apache-2.0", "identifier": "Apache-2.0"],
      ],
      "security": [["bearer": []]],
      "paths": .object(paths),
      "components": [
        "schemas": .object(schemas), "responses": responses,
        "securitySchemes": ["bearer": ["type": "http", "scheme": "bearer"]],
      ],
    ]
  }

  private static func operation(_ route: APIRoute) -> JSONValue {
    let isV2 = route.path.hasPrefix("/api/v2")
    var operation: JSONObject = ["summary": .string(route.summary)]
    let names = route.names.map { name -> JSONValue in
      [
        "name": .string(name), "in": "path", "required": true,
        "schema": ["type": "string", "minLength": 1],
      ]
    }
    let query = route.query.map { parameter -> JSONValue in
      [
        "name": .string(parameter.name), "in": "query", "description": .string(parameter.summary),
        "schema": Form.text,
      ]
    }
    if !(names + query).isEmpty { operation["parameters"] = .array(names + query) }
    if let body = route.body {
      var types = content(route.bodyType, body).object ?? JSONObject()
      // A policy is text, whatever it is called.
      if route.bodyType == "application/hujson" { types["text/plain"] = ["schema": body] }
      operation["requestBody"] = ["content": .object(types)]
    }
    var responses: JSONObject = [
      "200": ["description": "Done.", "content": content(route.resultType, route.result)]
    ]
    var statuses = refusals.map(\.status)
    if let scope = route.scope {
      operation["x-scope"] = .string(scope.description)
    } else {
      operation["security"] = []
      statuses.removeAll { $0 == 403 || $0 == 401 && route.method == "GET" }
    }
    let kind = route.path.hasSuffix("/oauth/token") ? Kind.token : isV2 ? .message : .problem
    for status in statuses {
      responses[String(status)] = [
        "$ref": .string("#/components/responses/\(kind.rawValue)\(status)")
      ]
    }
    operation["responses"] = .object(responses)
    return .object(operation)
  }

  /// The forms that refusals have.
  private enum Kind: String, CaseIterable {
    case problem = "Problem"
    case message = "Message"
    case token = "Token"

    var content: JSONValue {
      switch self {
      case .problem: OpenAPI.content("application/problem+json", Form.named("Problem"))
      case .message: OpenAPI.content("application/json", Form.named("Message"))
      case .token: OpenAPI.content("application/json", Form.nothing)
      }
    }
  }

  private static let refusals: [(status: Int, words: String)] = [
    (400, "The call makes no sense."), (401, "Nobody that is known."),
    (403, "The credential lacks the scope, or the tags."), (404, "There is no such thing."),
    (409, "It collides with something that exists."), (412, "It was changed meanwhile."),
    (413, "The call is too large."), (431, "The head of the call is too large."),
    (503, "The server cannot do this now."), (507, "A bound is reached."),
  ]

  private static var responses: JSONValue {
    var all = JSONObject()
    for kind in Kind.allCases {
      for (status, words) in refusals {
        var response: JSONObject = ["description": .string(words)]
        if ![413, 431].contains(status) { response["content"] = kind.content }
        all["\(kind.rawValue)\(status)"] = .object(response)
      }
    }
    return .object(all)
  }

  private static func content(_ type: String, _ form: JSONValue) -> JSONValue {
    .object([type: ["schema": form]])
  }
}
