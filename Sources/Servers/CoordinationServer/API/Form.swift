// SPDX-License-Identifier: Apache-2.0

internal import JSON

/// Forms of values, in the words of JSON Schema, for the description of the API.
enum Form {
  static let text: JSONValue = ["type": "string"]
  static let flag: JSONValue = ["type": "boolean"]
  static let number: JSONValue = ["type": "integer"]
  static let texts: JSONValue = ["type": "array", "items": ["type": "string"]]
  static let nothing: JSONValue = ["type": "object"]
  static let time: JSONValue = ["type": ["string", "null"]]
  static let anything: JSONValue = [:]

  /// An object with members; those whose names end with `?` may be left out.
  static func object(_ members: KeyValuePairs<String, JSONValue>) -> JSONValue {
    var (properties, required): (JSONObject, [JSONValue]) = (JSONObject(), [])
    for (name, form) in members {
      let bare = name.hasSuffix("?") ? String(name.dropLast()) : name
      properties[bare] = form
      if bare == name { required.append(.string(name)) }
    }
    var result: JSONObject = ["type": "object", "properties": .object(properties)]
    if !required.isEmpty { result["required"] = .array(required) }
    return .object(result)
  }

  static func list(_ form: JSONValue) -> JSONValue { ["type": "array", "items": form] }

  /// A form by its name.
  static func named(_ name: String) -> JSONValue {
    ["$ref": .string("#/components/schemas/\(name)")]
  }

  static func orNull(_ form: JSONValue) -> JSONValue { ["anyOf": [form, ["type": "null"]]] }

  /// The forms that have names.
  static let all: KeyValuePairs<String, JSONValue> = [
    "User": object([
      "id": text, "name": text, "createdAt": time, "displayName": text, "email": text,
      "providerId": text, "provider": text, "profilePicUrl": text,
    ]),
    "Node": object([
      "id": text, "machineKey": text, "nodeKey": text, "discoKey": text, "ipAddresses": texts,
      "name": text, "user": orNull(named("User")), "lastSeen": time, "expiry": time,
      "preAuthKey": orNull(nothing), "createdAt": time, "registerMethod": text,
      "givenName": text, "online": flag, "approvedRoutes": texts, "availableRoutes": texts,
      "subnetRoutes": texts, "tags": texts,
    ]),
    "PreAuthKey": object([
      "id": text, "key": text, "reusable": flag, "ephemeral": flag, "used": flag,
      "expiration": time, "createdAt": time, "aclTags": texts,
    ]),
    "ApiKey": object([
      "id": text, "prefix": text, "expiration": time, "createdAt": time, "lastSeen": time,
    ]),
    "Route": object([
      "id": text, "node": named("Node"), "prefix": text, "advertised": flag, "enabled": flag,
      "isPrimary": flag,
    ]),
    "Policy": object(["policy": text, "updatedAt": time]),
    "AuditEntry": object([
      "time": time, "actor": text, "action": text, "subject": text, "details": text,
    ]),
    "Device": object([
      "id": text, "nodeId": text, "addresses": texts, "name": text, "hostname": text,
      "authorized": flag, "user": text, "tags": texts, "keyExpiryDisabled": flag, "created": text,
      "isEphemeral": flag, "machineKey": text, "nodeKey": text, "os": text,
      "clientVersion": text, "updateAvailable": flag,
    ]),
    "Routes": object(["advertisedRoutes": texts, "enabledRoutes": texts]),
    "Key": object([
      "id": text, "keyType": text, "description": text, "created": text, "invalid": flag,
      "key?": text,
    ]),
    "Account": object([
      "id": text, "displayName": text, "loginName": text, "created": text, "type": text,
      "role": text, "status": text, "deviceCount": number,
    ]),
    "Webhook": object([
      "endpointId": text, "endpointUrl": text, "subscriptions": texts, "created": text,
      "lastModified": text, "creatorLoginName": text,
    ]),
    "Problem": object(["title": text, "status": number, "detail": text]),
    "Message": object(["message": text, "status": number]),
  ]
}
