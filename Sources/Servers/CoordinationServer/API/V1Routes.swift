// SPDX-License-Identifier: Apache-2.0

internal import Coordination
internal import HTTPTransport
internal import JSON
internal import Timing

/// The routes of the API.
enum APIRoutes {
  static let all =
    V1.all + V2.all + [
      APIRoute(
        method: "GET",
        path: "/openapi.json",
        scope: nil,
        summary: "This description.",
        result: Form.nothing
      ) { _ in APIAnswer(OpenAPI.document) }
    ]
}

/// `/api/v1`, in the shapes of headscale: names in camel case, 64-bit numbers as strings, empty lists
/// as `[]`, errors as `application/problem+json`.
///
/// Clients of headscale take a time that there is not for the year 1, and the owner of tagged nodes
/// for a user; the command line is told null.
enum V1 {
  static let all: [APIRoute] = users + nodes + keys + routes + rest

  private static let admin = "/api/v1"

  /// A route whose answer is what the command line is answered too.
  private static func route(
    _ method: String,
    _ path: String,
    _ area: Scope.Area,
    _ summary: String,
    query: [APIRoute.Parameter] = [],
    body: JSONValue? = nil,
    result: JSONValue,
    _ answer: @escaping @Sendable (APICall) async throws -> JSONValue?
  ) -> APIRoute {
    APIRoute(
      method: method,
      path: admin + path,
      scope: Scope(area, isReadOnly: method == "GET" || path.hasSuffix("/check")),
      summary: summary,
      query: query,
      body: body,
      result: result
    ) { call in
      guard let value = try await answer(call) else {
        throw Refusal.notFound("There is nothing here.")
      }
      guard call.principal.credential != nil else { return APIAnswer(value) }
      return APIAnswer(Completion.complete(value))
    }
  }

  private static let users: [APIRoute] = [
    route(
      "GET",
      "/user",
      .users,
      "The users.",
      query: [
        .init(name: "id", summary: "only the one with this number"),
        .init(name: "name", summary: "only the one with this name"),
        .init(name: "email", summary: "only those with this address"),
      ],
      result: Form.object(["users": Form.list(Form.named("User"))])
    ) { try await $0.admin.users("GET", []) },
    route(
      "GET",
      "/user/{user}",
      .users,
      "A user, by name or number.",
      result: Form.object(["user": Form.named("User")])
    ) { call in
      try await call.coordinator.read { tailnet, _ in
        ["user": AdminValue.user(try tailnet.user(called: call["user"]))]
      }
    },
    route(
      "POST",
      "/user",
      .users,
      "Makes a user.",
      body: Form.object(["name": Form.text, "displayName?": Form.text, "email?": Form.text]),
      result: Form.object(["user": Form.named("User")])
    ) { try await $0.admin.users("POST", []) },
    route(
      "POST",
      "/user/{user}/rename/{name}",
      .users,
      "Gives a user another name.",
      result: Form.object(["user": Form.named("User")])
    ) { try await $0.admin.users("POST", [$0["user"], "rename", $0["name"]]) },
    route("DELETE", "/user/{user}", .users, "Forgets a user.", result: Form.nothing) {
      try await $0.admin.users("DELETE", [$0["user"]])
    },
  ]

  private static let node = Form.object(["node": Form.named("Node")])

  private static let nodes: [APIRoute] = [
    route(
      "GET",
      "/node",
      .devices,
      "The nodes.",
      query: [.init(name: "user", summary: "only those of this user")],
      result: Form.object(["nodes": Form.list(Form.named("Node"))])
    ) { try await $0.admin.nodes("GET", []) },
    route("GET", "/node/{node}", .devices, "A node.", result: node) {
      try await $0.admin.nodes("GET", [$0["node"]])
    },
    route("DELETE", "/node/{node}", .devices, "Forgets a node.", result: Form.nothing) {
      try await $0.admin.nodes("DELETE", [$0["node"]])
    },
    route(
      "POST",
      "/node/{node}/expire",
      .devices,
      "Says when a node's key ends; now, when nothing is said.",
      body: Form.object(["expiry?": Form.text, "disableExpiry?": Form.flag]),
      result: node
    ) { try await $0.admin.nodes("POST", [$0["node"], "expire"]) },
    route(
      "POST",
      "/node/{node}/rename/{name}",
      .devices,
      "Gives a node another name.",
      result: node
    ) {
      try await $0.admin.nodes("POST", [$0["node"], "rename", $0["name"]])
    },
    route(
      "POST",
      "/node/{node}/tags",
      .devices,
      "Tags a node.",
      body: Form.object(["tags": Form.texts]),
      result: node
    ) { try await $0.admin.nodes("POST", [$0["node"], "tags"]) },
    route(
      "POST",
      "/node/register",
      .devices,
      "Lets a machine in that waits.",
      query: [
        .init(name: "user", summary: "whose node it becomes"),
        .init(name: "key", summary: "the number of its login"),
      ],
      result: node
    ) { call in
      let body: JSONValue = [
        "authId": .string(call.target.value("key") ?? ""),
        "user": .string(call.target.value("user") ?? ""),
      ]
      return try await call.admin(with: body).logins("POST", ["register"])
    },
    route(
      "POST",
      "/node/backfillips",
      .devices,
      "Gives addresses to nodes that lack some; here every node has its addresses from its first day.",
      query: [.init(name: "confirmed", summary: "true")],
      result: Form.object(["changes": Form.texts])
    ) { _ in ["changes": []] },
    route(
      "POST",
      "/auth/approve",
      .devices,
      "Lets a machine in that waits.",
      body: Form.object(["authId": Form.text, "user?": Form.text, "tags?": Form.texts]),
      result: node
    ) { try await $0.admin.logins("POST", ["approve"]) },
    route(
      "POST",
      "/auth/register",
      .devices,
      "Lets a machine in that waits.",
      body: Form.object(["authId": Form.text, "user?": Form.text, "tags?": Form.texts]),
      result: node
    ) { try await $0.admin.logins("POST", ["register"]) },
    route(
      "POST",
      "/auth/reject",
      .devices,
      "Sends a machine away that waits.",
      body: Form.object(["authId": Form.text]),
      result: Form.nothing
    ) { try await $0.admin.logins("POST", ["reject"]) },
    route(
      "GET",
      "/auth",
      .devices,
      "The machines that wait.",
      result: Form.object(["authRequests": Form.list(Form.nothing)])
    ) { try await $0.admin.logins("GET", []) },
    route(
      "POST",
      "/node/{node}/user",
      .devices,
      "Gives a node to another user.",
      body: Form.object(["user": Form.text]),
      result: node
    ) { try await $0.admin.nodes("POST", [$0["node"], "user"]) },
    route(
      "POST",
      "/node/{node}/ask",
      .devices,
      "Has a connected node answer a request, such as GET /echo.",
      body: Form.object(["method?": Form.text, "path": Form.text, "body?": Form.text]),
      result: Form.object([
        "status": Form.number, "contentType": Form.text, "body": Form.text,
      ])
    ) { try await $0.admin.ask($0["node"]) },
  ]

  private static let keys: [APIRoute] = [
    route(
      "GET",
      "/preauthkey",
      .authKeys,
      "The keys that let machines join, without their secrets.",
      query: [.init(name: "user", summary: "only those of this user")],
      result: Form.object(["preAuthKeys": Form.list(Form.named("PreAuthKey"))])
    ) { call in
      let all = try await call.admin.keys("GET", [])
      guard let name = call.target.value("user") else { return all }
      // Who asks by name is answered by name, as headscale did before users had numbers.
      let user = try await call.coordinator.read { tailnet, _ in try tailnet.user(called: name) }
      let own = (all?["preAuthKeys"]?.array ?? []).filter {
        $0["user"]?["id"]?.string == user.id.description
      }
      return ["preAuthKeys": .array(own.map { Completion.named($0, user.name) })]
    },
    route(
      "POST",
      "/preauthkey",
      .authKeys,
      "Makes a key that lets machines join; its secret is told this once.",
      body: Form.object([
        "user?": Form.text, "reusable?": Form.flag, "ephemeral?": Form.flag,
        "expiration?": Form.text, "aclTags?": Form.texts, "maximumUses?": Form.number,
      ]),
      result: Form.object(["preAuthKey": Form.named("PreAuthKey")])
    ) { call in
      try call.check(tags: try call.body.list("aclTags"))
      let made = try await call.admin.keys("POST", [])
      let asked = try call.body.text("user") ?? ""
      guard call.principal.credential != nil, Int64(asked) == nil, let key = made?["preAuthKey"]
      else { return made }
      return ["preAuthKey": Completion.named(key, asked)]
    },
    route(
      "POST",
      "/preauthkey/expire",
      .authKeys,
      "Ends a key; nodes that it let in stay.",
      body: Form.object(["id": Form.text]),
      result: Form.nothing
    ) { try await $0.admin.keys("POST", ["expire"]) },
    route(
      "DELETE",
      "/preauthkey",
      .authKeys,
      "Forgets a key; nodes that it let in stay.",
      query: [.init(name: "id", summary: "its number")],
      result: Form.nothing
    ) { try await $0.admin.keys("DELETE", []) },
    route(
      "GET",
      "/apikey",
      .oauthKeys,
      "The credentials of the API, without their secrets.",
      result: Form.object(["apiKeys": Form.list(Form.named("ApiKey"))])
    ) { try await CredentialCalls.list($0) },
    route(
      "POST",
      "/apikey",
      .oauthKeys,
      "Makes a key of the API; its secret is told this once.",
      body: Form.object([
        "expiration?": Form.text, "scopes?": Form.texts, "tags?": Form.texts,
        "description?": Form.text, "user?": Form.text,
      ]),
      result: Form.object(["apiKey": Form.text])
    ) { try await CredentialCalls.makeKey($0) },
    route(
      "POST",
      "/apikey/expire",
      .oauthKeys,
      "Ends a credential of the API.",
      body: Form.object(["id?": Form.text, "prefix?": Form.text]),
      result: Form.nothing
    ) { try await CredentialCalls.expire($0) },
    route(
      "DELETE",
      "/apikey/{prefix}",
      .oauthKeys,
      "Forgets a credential of the API, by its prefix or number.",
      result: Form.nothing
    ) { try await CredentialCalls.delete($0) },
  ]

  private static let routes: [APIRoute] = [
    route(
      "GET",
      "/routes",
      .routes,
      "The routes that nodes offer.",
      result: Form.object(["routes": Form.list(Form.named("Route"))])
    ) { try await RouteCalls.list($0, of: nil) },
    route(
      "GET",
      "/node/{node}/routes",
      .routes,
      "The routes that a node offers.",
      result: Form.object(["routes": Form.list(Form.named("Route"))])
    ) { try await RouteCalls.list($0, of: $0["node"]) },
    route("POST", "/routes/{route}/enable", .routes, "Approves a route.", result: Form.nothing) {
      try await RouteCalls.set($0, isApproved: true)
    },
    route(
      "POST",
      "/routes/{route}/disable",
      .routes,
      "Takes an approval back.",
      result: Form.nothing
    ) {
      try await RouteCalls.set($0, isApproved: false)
    },
    route("DELETE", "/routes/{route}", .routes, "Takes an approval back.", result: Form.nothing) {
      try await RouteCalls.set($0, isApproved: false)
    },
    route(
      "POST",
      "/node/{node}/approve_routes",
      .routes,
      "Says which routes of a node are approved.",
      body: Form.object(["routes": Form.texts]),
      result: node
    ) { try await RouteCalls.approve($0) },
  ]

  private static let rest: [APIRoute] = [
    route("GET", "/policy", .policy, "The policy in force.", result: Form.named("Policy")) {
      try await $0.admin.policy("GET", [])
    },
    route(
      "PUT",
      "/policy",
      .policy,
      "Puts a policy in force.",
      body: Form.object(["policy": Form.text]),
      result: Form.named("Policy")
    ) { try await $0.admin.policy("PUT", []) },
    route(
      "POST",
      "/policy/check",
      .policy,
      "Looks whether a text is a policy.",
      body: Form.object(["policy": Form.text]),
      result: Form.nothing
    ) { try await $0.admin.policy("POST", ["check"]) },
    route(
      "GET",
      "/audit",
      .audit,
      "Who did what, youngest first.",
      query: [.init(name: "limit", summary: "how many, at most 10000")],
      result: Form.object(["entries": Form.list(Form.named("AuditEntry"))])
    ) { try await $0.admin.audit() },
    APIRoute(
      method: "GET",
      path: admin + "/health",
      scope: Scope(.settings, isReadOnly: true),
      summary: "Whether the database answers.",
      result: Form.object(["databaseConnectivity": Form.flag])
    ) { call in
      try await call.coordinator.check()
      return APIAnswer(["databaseConnectivity": true])
    },
    APIRoute(
      method: "GET",
      path: admin + "/openapi.json",
      scope: nil,
      summary: "This description.",
      result: Form.nothing
    ) { _ in APIAnswer(OpenAPI.document) },
  ]
}

/// Fills in what clients of headscale expect where the command line is told null.
enum Completion {
  private static let times: Set<String> = ["expiry", "lastSeen", "expiration"]
  private static let never = "0001-01-01T00:00:00Z"

  /// A value whose times and owners are all there.
  static func complete(_ value: JSONValue) -> JSONValue {
    switch value {
    case .array(let items): .array(items.map(complete))
    case .object(let object): .object(complete(object))
    default: value
    }
  }

  private static func complete(_ object: JSONObject) -> JSONObject {
    var result = JSONObject()
    let isNode = object["nodeKey"] != nil
    for (name, value) in object {
      switch (name, value) {
      case (_, .null) where times.contains(name): result[name] = .string(never)
      case ("user", .null) where isNode: result[name] = tagged
      case ("preAuthKey", .object(let key)) where isNode:
        // Old clients expect a name for its user and new ones an object; it stands beside it anyhow.
        var key = complete(key)
        key["user"] = nil
        result[name] = .object(key)
      default: result[name] = complete(value)
      }
    }
    return result
  }

  private static let tagged: JSONValue = [
    "id": .string(UserID.taggedDevices.description), "name": "tagged-devices",
    "createdAt": .string(never), "displayName": "Tagged Devices", "email": "", "providerId": "",
    "provider": "", "profilePicUrl": "",
  ]

  /// A key whose user is told by name.
  static func named(_ key: JSONValue, _ user: String) -> JSONValue {
    guard var object = key.object else { return key }
    object["user"] = .string(user)
    return .object(object)
  }
}

extension APICall {
  /// The same call with another body.
  func admin(with body: JSONValue) -> AdminCall {
    AdminCall(coordinator: coordinator, actor: actor, query: target, body: AdminBody(body))
  }

  /// Refuses tags that the caller must not give, and none where it has to give some.
  func check(tags: [String]) throws(Refusal) {
    guard let own = principal.credential?.tags, !own.isEmpty else { return }
    guard !tags.isEmpty, Set(tags).isSubset(of: own) else {
      throw Refusal(
        .forbidden,
        "This credential makes only what is tagged with \(own.joined(separator: ", "))."
      )
    }
  }
}
