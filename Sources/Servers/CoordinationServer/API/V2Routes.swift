// SPDX-License-Identifier: Apache-2.0

internal import Coordination
internal import JSON

/// `/api/v2`, in the shapes of the hosted service's API: devices, keys, the policy, users, webhooks.
enum V2 {
  static let all: [APIRoute] = devices + keys + policy + users + webhooks + names + rest

  static func route(
    _ method: String,
    _ path: String,
    _ scope: Scope,
    _ summary: String,
    query: [APIRoute.Parameter] = [],
    body: JSONValue? = nil,
    result: JSONValue = Form.nothing,
    _ answer: @escaping @Sendable (APICall) async throws -> JSONValue
  ) -> APIRoute {
    APIRoute(
      method: method,
      path: "/api/v2" + path,
      scope: scope,
      summary: summary,
      query: query,
      body: body,
      result: result
    ) { call in
      try await call.checkTailnet()
      return APIAnswer(try await answer(call))
    }
  }

  private static let fields = [
    APIRoute.Parameter(name: "fields", summary: "all, for routes too")
  ]

  private static let devices: [APIRoute] = [
    route(
      "GET",
      "/tailnet/{tailnet}/devices",
      Scope(.devices, isReadOnly: true),
      "The devices.",
      query: fields,
      result: Form.object(["devices": Form.list(Form.named("Device"))])
    ) { try await DeviceCalls.list($0) },
    route(
      "GET",
      "/device/{device}",
      Scope(.devices, isReadOnly: true),
      "A device.",
      query: fields,
      result: Form.named("Device")
    ) { try await DeviceCalls.get($0) },
    route("DELETE", "/device/{device}", Scope(.devices), "Forgets a device.") {
      try await DeviceCalls.delete($0)
    },
    route(
      "POST",
      "/device/{device}/authorized",
      Scope(.devices),
      "Lets a device talk to others, or withholds it.",
      body: Form.object(["authorized": Form.flag])
    ) { try await DeviceCalls.authorize($0) },
    route(
      "POST",
      "/device/{device}/name",
      Scope(.devices),
      "Gives a device another name.",
      body: Form.object(["name": Form.text])
    ) { try await DeviceCalls.rename($0) },
    route(
      "POST",
      "/device/{device}/tags",
      Scope(.devices),
      "Tags a device.",
      body: Form.object(["tags": Form.texts])
    ) { try await DeviceCalls.tag($0) },
    route(
      "POST",
      "/device/{device}/key",
      Scope(.devices),
      "Says whether a device's key ends.",
      body: Form.object(["keyExpiryDisabled": Form.flag])
    ) { try await DeviceCalls.setExpiry($0) },
    route("POST", "/device/{device}/expire", Scope(.devices), "Ends a device's key.") {
      try await DeviceCalls.expire($0)
    },
    route(
      "GET",
      "/device/{device}/routes",
      Scope(.routes, isReadOnly: true),
      "The routes of a device.",
      result: Form.named("Routes")
    ) { try await DeviceCalls.routes($0) },
    route(
      "POST",
      "/device/{device}/routes",
      Scope(.routes),
      "Says which routes of a device are approved.",
      body: Form.object(["routes": Form.texts]),
      result: Form.named("Routes")
    ) { try await DeviceCalls.setRoutes($0) },
    route(
      "GET",
      "/device/{device}/attributes",
      Scope(.postures, isReadOnly: true),
      "What is known of a device's posture."
    ) { try await DeviceCalls.attributes($0, "GET") },
    route(
      "POST",
      "/device/{device}/attributes/{attribute}",
      Scope(.postures),
      "Says something of a device's posture.",
      body: Form.object(["value": Form.anything, "expiry?": Form.text])
    ) { try await DeviceCalls.attributes($0, "POST") },
    route(
      "DELETE",
      "/device/{device}/attributes/{attribute}",
      Scope(.postures),
      "Forgets something of a device's posture."
    ) { try await DeviceCalls.attributes($0, "DELETE") },
  ]

  private static let keys: [APIRoute] = [
    route(
      "GET",
      "/tailnet/{tailnet}/keys",
      Scope(.authKeys, isReadOnly: true),
      "The keys that let machines join; with `oauth_keys` the credentials of the API too.",
      query: [.init(name: "all", summary: "true")],
      result: Form.object(["keys": Form.list(Form.named("Key"))])
    ) { try await KeyCalls.list($0) },
    route(
      "POST",
      "/tailnet/{tailnet}/keys",
      Scope(.authKeys),
      "Makes a key, or with `oauth_keys` a client of the API; its secret is told this once.",
      body: Form.object([
        "keyType?": Form.text, "description?": Form.text, "expirySeconds?": Form.number,
        "capabilities?": Form.nothing, "scopes?": Form.texts, "tags?": Form.texts,
      ]),
      result: Form.named("Key")
    ) { try await KeyCalls.make($0) },
    route(
      "GET",
      "/tailnet/{tailnet}/keys/{key}",
      Scope(.authKeys, isReadOnly: true),
      "A key.",
      result: Form.named("Key")
    ) { try await KeyCalls.get($0) },
    route("DELETE", "/tailnet/{tailnet}/keys/{key}", Scope(.authKeys), "Ends a key.") {
      try await KeyCalls.delete($0)
    },
    APIRoute(
      method: "POST",
      path: "/api/v2/oauth/token",
      scope: nil,
      summary: "Gives a client a token that works for an hour (RFC 6749 §4.4).",
      body: Form.object([
        "client_id?": Form.text, "client_secret?": Form.text, "grant_type?": Form.text,
        "scope?": Form.text, "tags?": Form.text,
      ]),
      bodyType: "application/x-www-form-urlencoded",
      result: Form.object([
        "access_token": Form.text, "token_type": Form.text, "expires_in": Form.number,
        "scope": Form.text,
      ])
    ) { try await TokenCall.answer($0) },
  ]

  private static let policy: [APIRoute] = [
    APIRoute(
      method: "GET",
      path: "/api/v2/tailnet/{tailnet}/acl",
      scope: Scope(.policy, isReadOnly: true),
      summary: "The policy in force, as it was written, with its ETag.",
      result: Form.text,
      resultType: "application/hujson"
    ) { try await PolicyCalls.get($0) },
    APIRoute(
      method: "POST",
      path: "/api/v2/tailnet/{tailnet}/acl",
      scope: Scope(.policy),
      summary: "Puts a policy in force; with If-Match only in place of the one with that ETag.",
      body: Form.text,
      bodyType: "application/hujson",
      result: Form.text,
      resultType: "application/hujson"
    ) { try await PolicyCalls.set($0) },
    APIRoute(
      method: "POST",
      path: "/api/v2/tailnet/{tailnet}/acl/validate",
      scope: Scope(.policy, isReadOnly: true),
      summary: "Looks whether a text is a policy.",
      body: Form.text,
      bodyType: "application/hujson",
      result: Form.nothing
    ) { try await PolicyCalls.validate($0) },
  ]

  private static let users: [APIRoute] = [
    route(
      "GET",
      "/tailnet/{tailnet}/users",
      Scope(.users, isReadOnly: true),
      "The users.",
      query: [
        .init(name: "type", summary: "only this type"),
        .init(name: "role", summary: "only this role"),
      ],
      result: Form.object(["users": Form.list(Form.named("Account"))])
    ) { try await UserCalls.list($0) },
    route(
      "GET",
      "/users/{user}",
      Scope(.users, isReadOnly: true),
      "A user.",
      result: Form.named("Account")
    ) { try await UserCalls.get($0) },
    route(
      "POST",
      "/users/{user}/role",
      Scope(.users),
      "Says what a user may do to the network.",
      body: Form.object(["role": Form.text])
    ) { try await UserCalls.setRole($0) },
    route("POST", "/users/{user}/delete", Scope(.users), "Forgets a user.") {
      try await UserCalls.delete($0)
    },
  ]

  private static let webhooks: [APIRoute] = [
    route(
      "GET",
      "/tailnet/{tailnet}/webhooks",
      Scope(.webhooks, isReadOnly: true),
      "Who is told of what happens.",
      result: Form.object(["webhooks": Form.list(Form.named("Webhook"))])
    ) { try await WebhookCalls.list($0) },
    route(
      "POST",
      "/tailnet/{tailnet}/webhooks",
      Scope(.webhooks),
      "Has somebody told; the secret of the signatures is told this once.",
      body: Form.object([
        "endpointUrl": Form.text, "providerType?": Form.text, "subscriptions": Form.texts,
      ]),
      result: Form.named("Webhook")
    ) { try await WebhookCalls.make($0) },
    route(
      "GET",
      "/webhooks/{webhook}",
      Scope(.webhooks, isReadOnly: true),
      "A webhook.",
      result: Form.named("Webhook")
    ) { try await WebhookCalls.get($0) },
    route(
      "PATCH",
      "/webhooks/{webhook}",
      Scope(.webhooks),
      "Changes what somebody is told of.",
      body: Form.object(["subscriptions": Form.texts]),
      result: Form.named("Webhook")
    ) { try await WebhookCalls.change($0) },
    route("DELETE", "/webhooks/{webhook}", Scope(.webhooks), "Has somebody told nothing more.") {
      try await WebhookCalls.delete($0)
    },
    route("POST", "/webhooks/{webhook}/test", Scope(.webhooks), "Sends a message to see it come.") {
      try await WebhookCalls.test($0)
    },
    route(
      "POST",
      "/webhooks/{webhook}/rotate",
      Scope(.webhooks),
      "Signs with another secret from now on, which is told this once.",
      result: Form.named("Webhook")
    ) { try await WebhookCalls.rotate($0) },
  ]

  private static let rest: [APIRoute] = [
    route(
      "GET",
      "/tailnet/{tailnet}/settings",
      Scope(.settings, isReadOnly: true),
      "What holds for the whole network."
    ) { call in
      await call.coordinator.read { tailnet, _ in
        let days = tailnet.options.keyLifetime.map { $0.components.seconds / 86_400 } ?? 0
        return [
          "aclsExternallyManagedOn": false, "aclsExternalLink": "",
          "devicesApprovalOn": .bool(tailnet.options.needsApproval),
          "devicesAutoUpdatesOn": false, "devicesKeyDurationDays": .integer(Int64(days)),
          "usersApprovalOn": false, "usersRoleAllowedToJoinExternalTailnets": "none",
          "networkFlowLoggingOn": false, "regionalRoutingOn": false,
          "postureIdentityCollectionOn": false, "httpsEnabled": false,
        ]
      }
    },
    route(
      "GET",
      "/tailnet/{tailnet}/logging/configuration",
      Scope(.audit, isReadOnly: true),
      "Who did what between two times, oldest first.",
      query: [
        .init(name: "start", summary: "from when on"), .init(name: "end", summary: "until when"),
      ],
      result: Form.object(["logs": Form.list(Form.nothing)])
    ) { try await UserCalls.logs($0) },
  ]
}

extension APICall {
  /// Refuses another network than ours: `-` means the one that the credential is of.
  func checkTailnet() async throws {
    guard let name = parameters["tailnet"], name != "-" else { return }
    let domain = await coordinator.read { tailnet, _ in tailnet.options.domain }
    guard name.lowercased() == domain else { throw Refusal.notFound("There is no such tailnet.") }
  }
}
