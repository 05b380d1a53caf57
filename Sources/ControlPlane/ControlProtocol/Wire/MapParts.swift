// SPDX-License-Identifier: Apache-2.0

package import Addressing
package import JSON

/// A person.
package struct UserProfile: Hashable, Sendable, JSONReadable, JSONWritable {
  /// The number.
  package var id: Int64 = 0
  /// The login.
  package var loginName: String = ""
  /// The name.
  package var displayName: String = ""
  /// Where a picture is.
  package var profilePicURL: String = ""
  /// The groups.
  package var groups: [String] = []

  /// One with these facts.
  package init(
    id: Int64 = 0,
    loginName: String = "",
    displayName: String = "",
    profilePicURL: String = "",
    groups: [String] = []
  ) {
    self.id = id
    self.loginName = loginName
    self.displayName = displayName
    self.profilePicURL = profilePicURL
    self.groups = groups
  }

  /// Reads the JSON object.
  package init(reading reader: inout JSONReader) throws(JSONError) {
    self.init()
    try reader.fields { (member, reader) throws(JSONError) in
      switch member {
      case "ID": id = try reader.int64()
      case "LoginName": loginName = try reader.string()
      case "DisplayName": displayName = try reader.string()
      case "ProfilePicURL": profilePicURL = try reader.string()
      case "Groups": groups = try reader.list(of: String.self)
      default: try reader.skip()
      }
    }
  }

  /// Writes the JSON object.
  package func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("ID", id)
      writer.field("LoginName", loginName)
      writer.field("DisplayName", displayName)
      writer.field("ProfilePicURL", ifNonempty: profilePicURL)
      writer.field("Groups", ifNonempty: groups)
    }
  }
}

/// Something that people should see.
package struct DisplayMessage: Hashable, Sendable, JSONReadable, JSONWritable {
  /// In a few words.
  package var title: String = ""
  /// In a sentence.
  package var text: String = ""
  /// `high`, `medium` or `low`.
  package var severity: String = ""
  /// Whether it keeps packets from flowing.
  package var impactsConnectivity: Bool = false
  /// What can be done.
  package var primaryAction: DisplayMessageAction?

  /// One with these facts.
  package init(
    title: String = "",
    text: String = "",
    severity: String = "",
    impactsConnectivity: Bool = false,
    primaryAction: DisplayMessageAction? = nil
  ) {
    self.title = title
    self.text = text
    self.severity = severity
    self.impactsConnectivity = impactsConnectivity
    self.primaryAction = primaryAction
  }

  /// Reads the JSON object.
  package init(reading reader: inout JSONReader) throws(JSONError) {
    self.init()
    try reader.fields { (member, reader) throws(JSONError) in
      switch member {
      case "Title": title = try reader.string()
      case "Text": text = try reader.string()
      case "Severity": severity = try reader.string()
      case "ImpactsConnectivity": impactsConnectivity = try reader.bool()
      case "PrimaryAction": primaryAction = try reader.value()
      default: try reader.skip()
      }
    }
  }

  /// Writes the JSON object.
  package func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("Title", ifNonempty: title)
      writer.field("Text", ifNonempty: text)
      writer.field("Severity", ifNonempty: severity)
      writer.field("ImpactsConnectivity", ifTrue: impactsConnectivity)
      writer.field("PrimaryAction", ifPresent: primaryAction)
    }
  }
}

/// What a person can do.
package struct DisplayMessageAction: Hashable, Sendable, JSONReadable, JSONWritable {
  /// Where.
  package var url: String = ""
  /// What.
  package var label: String = ""

  /// One with these facts.
  package init(
    url: String = "",
    label: String = ""
  ) {
    self.url = url
    self.label = label
  }

  /// Reads the JSON object.
  package init(reading reader: inout JSONReader) throws(JSONError) {
    self.init()
    try reader.fields { (member, reader) throws(JSONError) in
      switch member {
      case "URL": url = try reader.string()
      case "Label": label = try reader.string()
      default: try reader.skip()
      }
    }
  }

  /// Writes the JSON object.
  package func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("URL", ifNonempty: url)
      writer.field("Label", ifNonempty: label)
    }
  }
}

/// How the tailnet lock stands.
package struct TKAInfo: Hashable, Sendable, JSONReadable, JSONWritable {
  /// The head of its chain.
  package var head: String = ""
  /// Whether it was switched off.
  package var disabled: Bool = false

  /// One with these facts.
  package init(
    head: String = "",
    disabled: Bool = false
  ) {
    self.head = head
    self.disabled = disabled
  }

  /// Reads the JSON object.
  package init(reading reader: inout JSONReader) throws(JSONError) {
    self.init()
    try reader.fields { (member, reader) throws(JSONError) in
      switch member {
      case "Head": head = try reader.string()
      case "Disabled": disabled = try reader.bool()
      default: try reader.skip()
      }
    }
  }

  /// Writes the JSON object.
  package func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("Head", ifNonempty: head)
      writer.field("Disabled", ifTrue: disabled)
    }
  }
}

/// How old the version of the client is.
package struct ClientVersion: Hashable, Sendable, JSONReadable, JSONWritable {
  /// Whether it is the newest.
  package var runningLatest: Bool = false
  /// The newest.
  package var latestVersion: String = ""
  /// Whether it should be updated soon.
  package var urgentSecurityUpdate: Bool = false
  /// Whether people should be told.
  package var notify: Bool = false
  /// Where they read more.
  package var notifyURL: String = ""
  /// What they are told.
  package var notifyText: String = ""

  /// One with these facts.
  package init(
    runningLatest: Bool = false,
    latestVersion: String = "",
    urgentSecurityUpdate: Bool = false,
    notify: Bool = false,
    notifyURL: String = "",
    notifyText: String = ""
  ) {
    self.runningLatest = runningLatest
    self.latestVersion = latestVersion
    self.urgentSecurityUpdate = urgentSecurityUpdate
    self.notify = notify
    self.notifyURL = notifyURL
    self.notifyText = notifyText
  }

  /// Reads the JSON object.
  package init(reading reader: inout JSONReader) throws(JSONError) {
    self.init()
    try reader.fields { (member, reader) throws(JSONError) in
      switch member {
      case "RunningLatest": runningLatest = try reader.bool()
      case "LatestVersion": latestVersion = try reader.string()
      case "UrgentSecurityUpdate": urgentSecurityUpdate = try reader.bool()
      case "Notify": notify = try reader.bool()
      case "NotifyURL": notifyURL = try reader.string()
      case "NotifyText": notifyText = try reader.string()
      default: try reader.skip()
      }
    }
  }

  /// Writes the JSON object.
  package func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("RunningLatest", ifTrue: runningLatest)
      writer.field("LatestVersion", ifNonempty: latestVersion)
      writer.field("UrgentSecurityUpdate", ifTrue: urgentSecurityUpdate)
      writer.field("Notify", ifTrue: notify)
      writer.field("NotifyURL", ifNonempty: notifyURL)
      writer.field("NotifyText", ifNonempty: notifyText)
    }
  }
}

/// Where the server may be reached when its name fails.
package struct ControlDialPlan: Hashable, Sendable, JSONReadable, JSONWritable {
  /// The places.
  package var candidates: [ControlDialCandidate] = []

  /// One with these facts.
  package init(
    candidates: [ControlDialCandidate] = []
  ) {
    self.candidates = candidates
  }

  /// Reads the JSON object.
  package init(reading reader: inout JSONReader) throws(JSONError) {
    self.init()
    try reader.fields { (member, reader) throws(JSONError) in
      switch member {
      case "Candidates": candidates = try reader.list()
      default: try reader.skip()
      }
    }
  }

  /// Writes the JSON object.
  package func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("Candidates", candidates)
    }
  }
}

/// A place where the server may be reached.
package struct ControlDialCandidate: Hashable, Sendable, JSONReadable, JSONWritable {
  /// The address.
  package var ip: IPAddress?
  /// A host to go through.
  package var aceHost: String = ""
  /// Seconds to wait before.
  package var dialStartDelaySec: Double = 0
  /// Seconds to try.
  package var dialTimeoutSec: Double = 0
  /// Higher is better.
  package var priority: Int = 0

  /// One with these facts.
  package init(
    ip: IPAddress? = nil,
    aceHost: String = "",
    dialStartDelaySec: Double = 0,
    dialTimeoutSec: Double = 0,
    priority: Int = 0
  ) {
    self.ip = ip
    self.aceHost = aceHost
    self.dialStartDelaySec = dialStartDelaySec
    self.dialTimeoutSec = dialTimeoutSec
    self.priority = priority
  }

  /// Reads the JSON object.
  package init(reading reader: inout JSONReader) throws(JSONError) {
    self.init()
    try reader.fields { (member, reader) throws(JSONError) in
      switch member {
      case "IP": ip = try reader.address()
      case "ACEHost": aceHost = try reader.string()
      case "DialStartDelaySec": dialStartDelaySec = try reader.double()
      case "DialTimeoutSec": dialTimeoutSec = try reader.double()
      case "Priority": priority = try reader.int()
      default: try reader.skip()
      }
    }
  }

  /// Writes the JSON object.
  package func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("IP", textIfPresent: ip)
      writer.field("ACEHost", ifNonempty: aceHost)
      writer.field("DialStartDelaySec", ifNonzero: dialStartDelaySec)
      writer.field("DialTimeoutSec", ifNonzero: dialTimeoutSec)
      writer.field("Priority", ifNonzero: priority)
    }
  }
}

/// Something that a node is asked to do and to answer.
package struct PingRequest: Hashable, Sendable, JSONReadable, JSONWritable {
  /// Where the answer goes.
  package var url: String = ""
  /// Whether inside the Noise connection.
  package var urlIsNoise: Bool = false
  /// Whether to log it.
  package var log: Bool = false
  /// What: `TSMP`, `disco`, `ICMP`, `peerapi` or `c2n`; empty to touch the address.
  package var types: String = ""
  /// The peer to ping.
  package var ip: IPAddress?
  /// The request of `c2n`.
  package var payload: [UInt8] = []

  /// One with these facts.
  package init(
    url: String = "",
    urlIsNoise: Bool = false,
    log: Bool = false,
    types: String = "",
    ip: IPAddress? = nil,
    payload: [UInt8] = []
  ) {
    self.url = url
    self.urlIsNoise = urlIsNoise
    self.log = log
    self.types = types
    self.ip = ip
    self.payload = payload
  }

  /// Reads the JSON object.
  package init(reading reader: inout JSONReader) throws(JSONError) {
    self.init()
    try reader.fields { (member, reader) throws(JSONError) in
      switch member {
      case "URL": url = try reader.string()
      case "URLIsNoise": urlIsNoise = try reader.bool()
      case "Log": log = try reader.bool()
      case "Types": types = try reader.string()
      case "IP": ip = try reader.address()
      case "Payload": payload = try reader.base64()
      default: try reader.skip()
      }
    }
  }

  /// Writes the JSON object.
  package func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("URL", url)
      writer.field("URLIsNoise", ifTrue: urlIsNoise)
      writer.field("Log", ifTrue: log)
      writer.field("Types", ifNonempty: types)
      writer.field("IP", textIfPresent: ip)
      writer.field("Payload", base64IfNonempty: payload)
    }
  }
}

/// The answer to a ping.
package struct PingResponse: Hashable, Sendable, JSONReadable, JSONWritable {
  /// What was asked.
  package var type: String = ""
  /// The address that was pinged.
  package var ip: String = ""
  /// The address of the node.
  package var nodeIP: String = ""
  /// Its name.
  package var nodeName: String = ""
  /// Why it failed.
  package var err: String = ""
  /// How long it took.
  package var latencySeconds: Double = 0
  /// The direct path that it took.
  package var endpoint: String = ""
  /// The peer relay that it went through.
  package var peerRelay: String = ""
  /// The relay region that it went through.
  package var derpRegionID: Int = 0
  /// Its short name.
  package var derpRegionCode: String = ""
  /// The port of the peer's API.
  package var peerAPIPort: UInt16 = 0
  /// Whether the address is our own.
  package var isLocalIP: Bool = false

  /// One with these facts.
  package init(
    type: String = "",
    ip: String = "",
    nodeIP: String = "",
    nodeName: String = "",
    err: String = "",
    latencySeconds: Double = 0,
    endpoint: String = "",
    peerRelay: String = "",
    derpRegionID: Int = 0,
    derpRegionCode: String = "",
    peerAPIPort: UInt16 = 0,
    isLocalIP: Bool = false
  ) {
    self.type = type
    self.ip = ip
    self.nodeIP = nodeIP
    self.nodeName = nodeName
    self.err = err
    self.latencySeconds = latencySeconds
    self.endpoint = endpoint
    self.peerRelay = peerRelay
    self.derpRegionID = derpRegionID
    self.derpRegionCode = derpRegionCode
    self.peerAPIPort = peerAPIPort
    self.isLocalIP = isLocalIP
  }

  /// Reads the JSON object.
  package init(reading reader: inout JSONReader) throws(JSONError) {
    self.init()
    try reader.fields { (member, reader) throws(JSONError) in
      switch member {
      case "Type": type = try reader.string()
      case "IP": ip = try reader.string()
      case "NodeIP": nodeIP = try reader.string()
      case "NodeName": nodeName = try reader.string()
      case "Err": err = try reader.string()
      case "LatencySeconds": latencySeconds = try reader.double()
      case "Endpoint": endpoint = try reader.string()
      case "PeerRelay": peerRelay = try reader.string()
      case "DERPRegionID": derpRegionID = try reader.int()
      case "DERPRegionCode": derpRegionCode = try reader.string()
      case "PeerAPIPort": peerAPIPort = try reader.integer()
      case "IsLocalIP": isLocalIP = try reader.bool()
      default: try reader.skip()
      }
    }
  }

  /// Writes the JSON object.
  package func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("Type", ifNonempty: type)
      writer.field("IP", ifNonempty: ip)
      writer.field("NodeIP", ifNonempty: nodeIP)
      writer.field("NodeName", ifNonempty: nodeName)
      writer.field("Err", ifNonempty: err)
      writer.field("LatencySeconds", ifNonzero: latencySeconds)
      writer.field("Endpoint", ifNonempty: endpoint)
      writer.field("PeerRelay", ifNonempty: peerRelay)
      writer.field("DERPRegionID", ifNonzero: derpRegionID)
      writer.field("DERPRegionCode", ifNonempty: derpRegionCode)
      writer.field("PeerAPIPort", ifNonzero: peerAPIPort)
      writer.field("IsLocalIP", ifTrue: isLocalIP)
    }
  }
}
