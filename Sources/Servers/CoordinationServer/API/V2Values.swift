// SPDX-License-Identifier: Apache-2.0

internal import Addressing
internal import ControlProtocol
internal import Coordination
internal import JSON
internal import Keys
internal import Timing

/// What `/api/v2` shows of things.
enum V2Values {
  static func device(
    _ node: NodeRecord,
    in tailnet: Tailnet,
    at now: Moment,
    whole: Bool
  ) -> JSONValue {
    let isOnline = tailnet.isOnline(node.id)
    var object: JSONObject = [
      "id": .string(node.id.description), "nodeId": .string(node.stableID),
      "addresses": texts(node.addresses.map(\.description)),
      "name": .string(tailnet.qualifiedName(of: node)),
      "hostname": .string(NodeName.printable(node.hostinfo.hostname)),
      "authorized": .bool(node.isAuthorized),
      "user": .string(tailnet.profile(of: node.shownUser).loginName),
      "tags": texts(node.tags), "keyExpiryDisabled": .bool(node.expiry == nil),
      "created": .string(node.created.description),
      "isEphemeral": .bool(node.isEphemeral), "isExternal": false,
      "machineKey": .string(node.machineKey.description),
      "nodeKey": .string(node.nodeKey.description),
      "os": .string(NodeName.printable(node.hostinfo.os)),
      "clientVersion": .string(NodeName.printable(node.hostinfo.ipnVersion)),
      "updateAvailable": false, "connectedToControl": .bool(isOnline),
      "blocksIncomingConnections": .bool(node.hostinfo.shieldsUp),
    ]
    if let expiry = node.expiry { object["expires"] = .string(expiry.description) }
    if !isOnline, let seen = node.lastSeen { object["lastSeen"] = .string(seen.description) }
    if whole {
      object["advertisedRoutes"] = texts(node.announcedRoutes.map(\.description))
      object["enabledRoutes"] = texts(node.approvedRoutes.map(\.description))
    }
    return .object(object)
  }

  static func routes(_ node: NodeRecord) -> JSONValue {
    [
      "advertisedRoutes": texts(node.announcedRoutes.map(\.description)),
      "enabledRoutes": texts(node.approvedRoutes.map(\.description)),
    ]
  }

  static func key(_ key: PreAuthKey, at time: Timestamp, secret: String? = nil) -> JSONValue {
    let made: JSONValue = [
      "reusable": .bool(key.isReusable), "ephemeral": .bool(key.isEphemeral),
      "preauthorized": .bool(key.isPreauthorized), "tags": texts(key.tags),
    ]
    var object: JSONObject = [
      "id": .string("a\(key.id)"), "keyType": "auth", "description": "",
      "created": .string(key.created.description), "invalid": .bool(key.spent(at: time) != nil),
      "capabilities": ["devices": ["create": made]],
    ]
    if let user = key.user { object["userId"] = .string(user.description) }
    if let expiry = key.expiry {
      object["expires"] = .string(expiry.description)
      object["expirySeconds"] = .integer(expiry.seconds - key.created.seconds)
    }
    if let secret { object["key"] = .string(secret) }
    return .object(object)
  }

  static func key(_ credential: Credential, at time: Timestamp, secret: String? = nil) -> JSONValue
  {
    var object: JSONObject = [
      "id": .string("c\(credential.id)"), "keyType": .string(credential.kind.rawValue),
      "description": .string(credential.purpose),
      "created": .string(credential.created.description),
      "invalid": .bool(!credential.isValid(at: time)),
      "scopes": texts(credential.scopes.map(\.description)), "tags": texts(credential.tags),
    ]
    if let expiry = credential.expiry { object["expires"] = .string(expiry.description) }
    if let secret { object["key"] = .string(secret) }
    return .object(object)
  }

  static func account(_ user: User, in tailnet: Tailnet) -> JSONValue {
    let own = tailnet.nodes.values.filter { $0.user == user.id }
    let isConnected = own.contains { tailnet.isOnline($0.id) }
    var object: JSONObject = [
      "id": .string(user.id.description), "displayName": .string(user.shownName),
      "loginName": .string(user.loginName), "profilePicUrl": "", "tailnetId": "1",
      "created": .string(user.created.description), "type": "member",
      "role": .string(user.role.rawValue), "status": "active",
      "deviceCount": .integer(Int64(own.count)), "currentlyConnected": .bool(isConnected),
    ]
    if let seen = own.compactMap(\.lastSeen).max() {
      object["lastSeen"] = .string(seen.description)
    }
    return .object(object)
  }

  static func webhook(_ webhook: Webhook, withSecret: Bool = false) -> JSONValue {
    var object: JSONObject = [
      "endpointId": .string(webhook.id.description), "endpointUrl": .string(webhook.url),
      "providerType": .string(webhook.provider), "creatorLoginName": .string(webhook.creator),
      "created": .string(webhook.created.description),
      "lastModified": .string(webhook.modified.description),
      "subscriptions": texts(webhook.events.map(\.rawValue).sorted()),
    ]
    if withSecret { object["secret"] = .string(webhook.secretText) }
    return .object(object)
  }

  /// An entry of the audit, in the form of the hosted service's log of changes.
  static func log(_ entry: AuditEntry) -> JSONValue {
    let actor: JSONValue = [
      "id": .string(entry.actor), "type": "NODE", "loginName": .string(entry.actor),
      "displayName": .string(entry.actor),
    ]
    return [
      "eventTime": .string(entry.time.description), "type": "CONFIG", "origin": "CONFIG_API",
      "actor": actor, "action": .string(entry.action),
      "target": ["id": .string(entry.subject), "name": .string(entry.subject), "type": "TAILNET"],
      "actionDetails": .string(entry.details),
    ]
  }

  static func texts(_ texts: [String]) -> JSONValue { .array(texts.map { .string($0) }) }
}
