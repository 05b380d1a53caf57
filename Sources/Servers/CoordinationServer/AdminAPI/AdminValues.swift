// SPDX-License-Identifier: Apache-2.0

internal import Addressing
internal import ControlProtocol
internal import Coordination
internal import JSON
internal import Keys
internal import Timing

// What the API shows of things.

enum AdminValue {
  static func user(_ user: User) -> JSONValue {
    [
      "id": .string(user.id.description), "name": .string(user.name),
      "createdAt": time(user.created), "displayName": .string(user.displayName),
      "email": .string(user.email), "profilePicUrl": "",
      "providerId": .string(user.identity.map { "\($0.issuer)/\($0.subject)" } ?? ""),
      "provider": user.identity == nil ? "" : "oidc", "role": .string(user.role.rawValue),
      "groups": list(user.groups),
    ]
  }

  static func node(_ node: NodeRecord, in tailnet: Tailnet, at now: Moment) -> JSONValue {
    let key: PreAuthKey? = if case .authKey(let id) = node.method { tailnet.keys[id] } else { nil }
    return [
      "id": .string(node.id.description),
      "machineKey": .string(node.machineKey.description),
      "nodeKey": .string(node.nodeKey.description),
      "discoKey": .string(node.discoKey.description),
      "ipAddresses": list(node.addresses.map(\.description)),
      "name": .string(NodeName.printable(node.hostinfo.hostname)),
      "user": owner(node.user, in: tailnet),
      "lastSeen": time(node.lastSeen),
      "expiry": time(node.expiry),
      "preAuthKey": key.map { Self.key($0, in: tailnet, text: $0.masked) } ?? .null,
      "createdAt": time(node.created),
      "registerMethod": .string(method(node.method)),
      "givenName": .string(node.name),
      "online": .bool(tailnet.isOnline(node.id)),
      "approvedRoutes": list(node.approvedRoutes.map(\.description)),
      "availableRoutes": list(node.announcedRoutes.map(\.description)),
      "subnetRoutes": list(tailnet.activeRoutes(of: node).map(\.description)),
      "tags": list(node.tags),
      "fqdn": .string(tailnet.qualifiedName(of: node)),
      "ephemeral": .bool(node.isEphemeral),
      "expired": .bool(node.isExpired(at: now.time)),
      "endpoints": list(node.endpoints.map(\.description)),
      "homeRelay": .integer(Int64(node.homeRelay)),
      "isWireGuardOnly": .bool(node.isWireGuardOnly),
      "authorized": .bool(node.isAuthorized),
    ]
  }

  /// A key; its text is the secret one once, and masked ever after.
  static func key(_ key: PreAuthKey, in tailnet: Tailnet, text: String) -> JSONValue {
    [
      "id": .string(key.id.description), "user": owner(key.user, in: tailnet),
      "key": .string(text), "reusable": .bool(key.isReusable),
      "ephemeral": .bool(key.isEphemeral), "preauthorized": .bool(key.isPreauthorized),
      "used": .bool(key.uses > 0),
      "maximumUses": key.maximumUses.map { .integer(Int64($0)) } ?? .null,
      "uses": .integer(Int64(key.uses)), "expiration": time(key.expiry),
      "createdAt": time(key.created), "aclTags": list(key.tags),
    ]
  }

  static func login(_ login: LoginRequest) -> JSONValue {
    [
      "id": .string(login.id.description),
      "hostname": .string(NodeName.printable(login.hostinfo.hostname)),
      "os": .string(NodeName.printable(login.hostinfo.os)),
      "machineKey": .string(login.machineKey.description),
      "nodeKey": .string(login.nodeKey.description),
      "requestedTags": list(login.requestedTags),
      "ephemeral": .bool(login.isEphemeral),
      "createdAt": time(login.created.time),
    ]
  }

  static func check(_ check: SessionCheck, in tailnet: Tailnet) -> JSONValue? {
    guard let (_, source, target) = tailnet.waitingCheck(check.id) else { return nil }
    return [
      "id": .string(check.id.description), "source": .string(source), "target": .string(target),
      "login": .string(NodeName.printable(check.login)), "createdAt": time(check.created.time),
    ]
  }

  static func entry(_ entry: AuditEntry) -> JSONValue {
    [
      "time": time(entry.time), "actor": .string(entry.actor), "action": .string(entry.action),
      "subject": .string(entry.subject), "details": .string(entry.details),
    ]
  }

  private static func owner(_ id: UserID?, in tailnet: Tailnet) -> JSONValue {
    id.flatMap { tailnet.users[$0] }.map(user) ?? .null
  }

  private static func method(_ method: NodeRecord.Method) -> String {
    switch method {
    case .authKey: "REGISTER_METHOD_AUTH_KEY"
    case .approval, .administrator: "REGISTER_METHOD_CLI"
    case .login: "REGISTER_METHOD_OIDC"
    }
  }

  /// All that policies may ask of a node's posture, and who says what of it until when.
  static func attributes(of node: NodeRecord) -> JSONValue {
    var values = JSONObject()
    for (name, value) in node.posture.sorted(by: { $0.key < $1.key }) {
      values[name] =
        switch value {
        case .text(let text): .string(text)
        case .number(let number): .number(number)
        case .flag(let flag): .bool(flag)
        }
    }
    var (expiries, sources) = (JSONObject(), JSONObject())
    for (name, attribute) in node.attributes.sorted(by: { $0.key < $1.key }) {
      if let expiry = attribute.expiry { expiries[name] = .string(expiry.description) }
      sources[name] = .string(attribute.source.rawValue)
    }
    return [
      "attributes": .object(values), "expiries": .object(expiries), "sources": .object(sources),
    ]
  }

  private static func time(_ time: Timestamp?) -> JSONValue {
    time.map { .string($0.description) } ?? .null
  }

  private static func list(_ texts: [String]) -> JSONValue { .array(texts.map { .string($0) }) }
}
