// SPDX-License-Identifier: Apache-2.0

package import JSON
package import Keys
package import Timing

/// Asks to be let into the network, or to leave it.
///
/// - Source: `Documentation/Protocols/control.md`, registration.
package struct RegisterRequest: Hashable, Sendable, JSONReadable, JSONWritable {
  /// The version of the protocol.
  package var version: Int = 0
  /// The key to register.
  package var nodeKey: NodeKey = .zero
  /// The key that it replaces; zero for none.
  package var oldNodeKey: NodeKey = .zero
  /// The node's key of the tailnet lock.
  package var nlKey: TailnetLockKey = .zero
  /// What lets it in without asking.
  package var auth: RegisterAuth?
  /// When the key shall end; in the past to log out, nil for the usual.
  package var expiry: Timestamp?
  /// The address that a person was sent to: wait for the end of that.
  package var followup: String = ""
  /// What the node tells of itself.
  package var hostinfo: Hostinfo?
  /// Whether it is to be forgotten when it goes away.
  package var ephemeral: Bool = false
  /// The tailnet lock's signature of the key.
  package var nodeKeySignature: [UInt8] = []
  /// The kind of the device signature.
  package var signatureType: String = ""
  /// When the device signed.
  package var timestamp: Timestamp?
  /// The certificate of the device.
  package var deviceCert: [UInt8] = []
  /// The signature of the device.
  package var signature: [UInt8] = []
  /// The network that is meant; `required:` before it makes that a condition.
  package var tailnet: String = ""

  /// One with these facts.
  package init(
    version: Int = 0,
    nodeKey: NodeKey = .zero,
    oldNodeKey: NodeKey = .zero,
    nlKey: TailnetLockKey = .zero,
    auth: RegisterAuth? = nil,
    expiry: Timestamp? = nil,
    followup: String = "",
    hostinfo: Hostinfo? = nil,
    ephemeral: Bool = false,
    nodeKeySignature: [UInt8] = [],
    signatureType: String = "",
    timestamp: Timestamp? = nil,
    deviceCert: [UInt8] = [],
    signature: [UInt8] = [],
    tailnet: String = ""
  ) {
    self.version = version
    self.nodeKey = nodeKey
    self.oldNodeKey = oldNodeKey
    self.nlKey = nlKey
    self.auth = auth
    self.expiry = expiry
    self.followup = followup
    self.hostinfo = hostinfo
    self.ephemeral = ephemeral
    self.nodeKeySignature = nodeKeySignature
    self.signatureType = signatureType
    self.timestamp = timestamp
    self.deviceCert = deviceCert
    self.signature = signature
    self.tailnet = tailnet
  }

  /// Reads the JSON object.
  package init(reading reader: inout JSONReader) throws(JSONError) {
    self.init()
    try reader.fields { (member, reader) throws(JSONError) in
      switch member {
      case "Version": version = try reader.int()
      case "NodeKey": nodeKey = try reader.key()
      case "OldNodeKey": oldNodeKey = try reader.key()
      case "NLKey": nlKey = try reader.key()
      case "Auth": auth = try reader.value()
      case "Expiry": expiry = try reader.timestamp()
      case "Followup": followup = try reader.string()
      case "Hostinfo": hostinfo = try reader.value()
      case "Ephemeral": ephemeral = try reader.bool()
      case "NodeKeySignature": nodeKeySignature = try reader.base64()
      case "SignatureType": signatureType = try reader.string()
      case "Timestamp": timestamp = try reader.timestamp()
      case "DeviceCert": deviceCert = try reader.base64()
      case "Signature": signature = try reader.base64()
      case "Tailnet": tailnet = try reader.string()
      default: try reader.skip()
      }
    }
  }

  /// Writes the JSON object.
  package func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("Version", version)
      writer.field("NodeKey", text: nodeKey)
      writer.field("OldNodeKey", text: oldNodeKey)
      writer.field("NLKey", text: nlKey)
      writer.field("Auth", ifPresent: auth)
      writer.field("Expiry", timeOrZero: expiry)
      writer.field("Followup", followup)
      writer.field("Hostinfo", ifPresent: hostinfo)
      writer.field("Ephemeral", ifTrue: ephemeral)
      writer.field("NodeKeySignature", base64IfNonempty: nodeKeySignature)
      writer.field("SignatureType", ifNonempty: signatureType)
      writer.field("Timestamp", textIfPresent: timestamp)
      writer.field("DeviceCert", base64IfNonempty: deviceCert)
      writer.field("Signature", base64IfNonempty: signature)
      writer.field("Tailnet", ifNonempty: tailnet)
    }
  }
}

/// What lets a node in without asking; never printed.
package struct RegisterAuth: Hashable, Sendable, JSONReadable, JSONWritable {
  /// The secret key.
  package var authKey: String = ""
  /// An obsolete form, as raw JSON.
  package var oauth2Token: [UInt8] = []

  /// One with these facts.
  package init(
    authKey: String = "",
    oauth2Token: [UInt8] = []
  ) {
    self.authKey = authKey
    self.oauth2Token = oauth2Token
  }

  /// Reads the JSON object.
  package init(reading reader: inout JSONReader) throws(JSONError) {
    self.init()
    try reader.fields { (member, reader) throws(JSONError) in
      switch member {
      case "AuthKey": authKey = try reader.string()
      case "Oauth2Token": oauth2Token = try reader.rawValue()
      default: try reader.skip()
      }
    }
  }

  /// Writes the JSON object.
  package func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("AuthKey", ifNonempty: authKey)
      writer.field("Oauth2Token", rawIfNonempty: oauth2Token)
    }
  }
}

/// How a registration stands.
package struct RegisterResponse: Hashable, Sendable, JSONReadable, JSONWritable {
  /// The owner of the node.
  package var user: RegisterUser = RegisterUser()
  /// The login of the owner.
  package var login: RegisterLogin = RegisterLogin()
  /// Whether the machine was let in.
  package var machineAuthorized: Bool = false
  /// Whether the key has ended, so that another is needed.
  package var nodeKeyExpired: Bool = false
  /// Where a person has to go; empty when nobody has to.
  package var authURL: String = ""
  /// A signature to renew with a fresh key.
  package var nodeKeySignature: [UInt8] = []
  /// Why it was refused.
  package var error: String = ""

  /// One with these facts.
  package init(
    user: RegisterUser = RegisterUser(),
    login: RegisterLogin = RegisterLogin(),
    machineAuthorized: Bool = false,
    nodeKeyExpired: Bool = false,
    authURL: String = "",
    nodeKeySignature: [UInt8] = [],
    error: String = ""
  ) {
    self.user = user
    self.login = login
    self.machineAuthorized = machineAuthorized
    self.nodeKeyExpired = nodeKeyExpired
    self.authURL = authURL
    self.nodeKeySignature = nodeKeySignature
    self.error = error
  }

  /// Reads the JSON object.
  package init(reading reader: inout JSONReader) throws(JSONError) {
    self.init()
    try reader.fields { (member, reader) throws(JSONError) in
      switch member {
      case "User": user = try reader.value()
      case "Login": login = try reader.value()
      case "MachineAuthorized": machineAuthorized = try reader.bool()
      case "NodeKeyExpired": nodeKeyExpired = try reader.bool()
      case "AuthURL": authURL = try reader.string()
      case "NodeKeySignature": nodeKeySignature = try reader.base64()
      case "Error": error = try reader.string()
      default: try reader.skip()
      }
    }
  }

  /// Writes the JSON object.
  package func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("User", user)
      writer.field("Login", login)
      writer.field("MachineAuthorized", machineAuthorized)
      writer.field("NodeKeyExpired", nodeKeyExpired)
      writer.field("AuthURL", authURL)
      writer.field("NodeKeySignature", base64IfNonempty: nodeKeySignature)
      writer.field("Error", ifNonempty: error)
    }
  }
}

/// The owner of a node.
package struct RegisterUser: Hashable, Sendable, JSONReadable, JSONWritable {
  /// The number of the profile.
  package var id: Int64 = 0
  /// The name.
  package var displayName: String = ""
  /// Where a picture is.
  package var profilePicURL: String = ""
  /// Since when.
  package var created: Timestamp?

  /// One with these facts.
  package init(
    id: Int64 = 0,
    displayName: String = "",
    profilePicURL: String = "",
    created: Timestamp? = nil
  ) {
    self.id = id
    self.displayName = displayName
    self.profilePicURL = profilePicURL
    self.created = created
  }

  /// Reads the JSON object.
  package init(reading reader: inout JSONReader) throws(JSONError) {
    self.init()
    try reader.fields { (member, reader) throws(JSONError) in
      switch member {
      case "ID": id = try reader.int64()
      case "DisplayName": displayName = try reader.string()
      case "ProfilePicURL": profilePicURL = try reader.string()
      case "Created": created = try reader.timestamp()
      default: try reader.skip()
      }
    }
  }

  /// Writes the JSON object.
  package func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("ID", id)
      writer.field("DisplayName", ifNonempty: displayName)
      writer.field("ProfilePicURL", ifNonempty: profilePicURL)
      writer.field("Created", textIfPresent: created)
    }
  }
}

/// The login of the owner of a node.
package struct RegisterLogin: Hashable, Sendable, JSONReadable, JSONWritable {
  /// The number of the profile.
  package var id: Int64 = 0
  /// Who vouched for it.
  package var provider: String = ""
  /// The login.
  package var loginName: String = ""
  /// The name.
  package var displayName: String = ""
  /// Where a picture is.
  package var profilePicURL: String = ""

  /// One with these facts.
  package init(
    id: Int64 = 0,
    provider: String = "",
    loginName: String = "",
    displayName: String = "",
    profilePicURL: String = ""
  ) {
    self.id = id
    self.provider = provider
    self.loginName = loginName
    self.displayName = displayName
    self.profilePicURL = profilePicURL
  }

  /// Reads the JSON object.
  package init(reading reader: inout JSONReader) throws(JSONError) {
    self.init()
    try reader.fields { (member, reader) throws(JSONError) in
      switch member {
      case "ID": id = try reader.int64()
      case "Provider": provider = try reader.string()
      case "LoginName": loginName = try reader.string()
      case "DisplayName": displayName = try reader.string()
      case "ProfilePicURL": profilePicURL = try reader.string()
      default: try reader.skip()
      }
    }
  }

  /// Writes the JSON object.
  package func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("ID", id)
      writer.field("Provider", ifNonempty: provider)
      writer.field("LoginName", ifNonempty: loginName)
      writer.field("DisplayName", ifNonempty: displayName)
      writer.field("ProfilePicURL", ifNonempty: profilePicURL)
    }
  }
}
