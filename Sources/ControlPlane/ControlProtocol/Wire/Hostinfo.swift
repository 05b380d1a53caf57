// SPDX-License-Identifier: Apache-2.0

package import Addressing
package import JSON

/// What a node tells of itself and the host under it.
///
/// Facts that this program does not use itself are carried for those that do.
///
/// - Source: `Documentation/Protocols/control.md`, host information.
package struct Hostinfo: Hashable, Sendable, JSONReadable, JSONWritable {
  /// The version of the node's program.
  package var ipnVersion: String = ""
  /// Names the log of a graphical program.
  package var frontendLogID: String = ""
  /// Names the log of the daemon; clients send one always.
  package var backendLogID: String = ""
  /// The operating system: `linux`.
  package var os: String = ""
  /// Its version.
  package var osVersion: String = ""
  /// Whether it runs in a container.
  package var container: Bool?
  /// The kind of surroundings, such as a container service.
  package var env: String = ""
  /// The distribution: `debian`.
  package var distro: String = ""
  /// Its version.
  package var distroVersion: String = ""
  /// The name of its version.
  package var distroCodeName: String = ""
  /// The program that embeds the node.
  package var app: String = ""
  /// Whether a desktop runs.
  package var desktop: Bool?
  /// How it was packaged.
  package var package: String = ""
  /// The model of the device.
  package var deviceModel: String = ""
  /// Where push messages for it go.
  package var pushDeviceToken: String = ""
  /// The name of the host, or the one chosen instead.
  package var hostname: String = ""
  /// Whether it refuses all that comes in.
  package var shieldsUp: Bool = false
  /// Whether it is shown because it was shared.
  package var shareeNode: Bool = false
  /// Whether it sends no logs.
  package var noLogsNoSupport: Bool = false
  /// Whether it wants to be reachable from outside.
  package var wireIngress: Bool = false
  /// Whether it is reachable from outside.
  package var ingressEnabled: Bool = false
  /// Whether it may be updated from afar.
  package var allowsUpdate: Bool = false
  /// The kind of machine: `x86_64`.
  package var machine: String = ""
  /// The processor, in another spelling: `amd64`.
  package var goArch: String = ""
  /// The processor's level.
  package var goArchVar: String = ""
  /// What built it.
  package var goVersion: String = ""
  /// The prefixes it offers to route.
  package var routableIPs: [IPPrefix] = []
  /// The tags it asks for.
  package var requestTags: [String] = []
  /// Hardware addresses that wake it.
  package var wolMACs: [String] = []
  /// What it offers.
  package var services: [Service] = []
  /// What it found out about its network.
  package var netInfo: NetInfo?
  /// The host keys of its SSH server.
  package var sshHostKeys: [String] = []
  /// The cloud it runs in.
  package var cloud: String = ""
  /// Whether its packets do not go through the kernel.
  package var userspace: Bool?
  /// Whether what it routes does not go through the kernel.
  package var userspaceRouter: Bool?
  /// Whether it is an application connector.
  package var appConnector: Bool?
  /// A hash of the services it can host.
  package var servicesHash: String = ""
  /// Whether it relays for peers.
  package var peerRelay: Bool = false
  /// The exit node that it uses.
  package var exitNodeID: String = ""
  /// Where it is.
  package var location: Location?
  /// Its trusted platform module.
  package var tpm: TPMInfo?
  /// Whether its state is stored encrypted.
  package var stateEncrypted: Bool?
  /// Whether it may be configured from afar.
  package var remoteConfig: Bool = false

  /// One with nothing in it.
  package init() {}

  /// Reads the JSON object.
  package init(reading reader: inout JSONReader) throws(JSONError) {
    self.init()
    try reader.fields { (member, reader) throws(JSONError) in
      switch member {
      case "IPNVersion": ipnVersion = try reader.string()
      case "FrontendLogID": frontendLogID = try reader.string()
      case "BackendLogID": backendLogID = try reader.string()
      case "OS": os = try reader.string()
      case "OSVersion": osVersion = try reader.string()
      case "Container": container = try reader.bool()
      case "Env": env = try reader.string()
      case "Distro": distro = try reader.string()
      case "DistroVersion": distroVersion = try reader.string()
      case "DistroCodeName": distroCodeName = try reader.string()
      case "App": app = try reader.string()
      case "Desktop": desktop = try reader.bool()
      case "Package": package = try reader.string()
      case "DeviceModel": deviceModel = try reader.string()
      case "PushDeviceToken": pushDeviceToken = try reader.string()
      case "Hostname": hostname = try reader.string()
      case "ShieldsUp": shieldsUp = try reader.bool()
      case "ShareeNode": shareeNode = try reader.bool()
      case "NoLogsNoSupport": noLogsNoSupport = try reader.bool()
      case "WireIngress": wireIngress = try reader.bool()
      case "IngressEnabled": ingressEnabled = try reader.bool()
      case "AllowsUpdate": allowsUpdate = try reader.bool()
      case "Machine": machine = try reader.string()
      case "GoArch": goArch = try reader.string()
      case "GoArchVar": goArchVar = try reader.string()
      case "GoVersion": goVersion = try reader.string()
      case "RoutableIPs": routableIPs = try reader.prefixes()
      case "RequestTags": requestTags = try reader.list(of: String.self)
      case "WoLMACs": wolMACs = try reader.list(of: String.self)
      case "Services": services = try reader.list()
      case "NetInfo": netInfo = try reader.value()
      case "sshHostKeys": sshHostKeys = try reader.list(of: String.self)
      case "Cloud": cloud = try reader.string()
      case "Userspace": userspace = try reader.bool()
      case "UserspaceRouter": userspaceRouter = try reader.bool()
      case "AppConnector": appConnector = try reader.bool()
      case "ServicesHash": servicesHash = try reader.string()
      case "PeerRelay": peerRelay = try reader.bool()
      case "ExitNodeID": exitNodeID = try reader.string()
      case "Location": location = try reader.value()
      case "TPM": tpm = try reader.value()
      case "StateEncrypted": stateEncrypted = try reader.bool()
      case "RemoteConfig": remoteConfig = try reader.bool()
      default: try reader.skip()
      }
    }
  }

  /// Writes the JSON object.
  package func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("IPNVersion", ifNonempty: ipnVersion)
      writer.field("FrontendLogID", ifNonempty: frontendLogID)
      writer.field("BackendLogID", ifNonempty: backendLogID)
      writer.field("OS", ifNonempty: os)
      writer.field("OSVersion", ifNonempty: osVersion)
      writer.field("Container", ifPresent: container)
      writer.field("Env", ifNonempty: env)
      writer.field("Distro", ifNonempty: distro)
      writer.field("DistroVersion", ifNonempty: distroVersion)
      writer.field("DistroCodeName", ifNonempty: distroCodeName)
      writer.field("App", ifNonempty: app)
      writer.field("Desktop", ifPresent: desktop)
      writer.field("Package", ifNonempty: package)
      writer.field("DeviceModel", ifNonempty: deviceModel)
      writer.field("PushDeviceToken", ifNonempty: pushDeviceToken)
      writer.field("Hostname", ifNonempty: hostname)
      writer.field("ShieldsUp", ifTrue: shieldsUp)
      writer.field("ShareeNode", ifTrue: shareeNode)
      writer.field("NoLogsNoSupport", ifTrue: noLogsNoSupport)
      writer.field("WireIngress", ifTrue: wireIngress)
      writer.field("IngressEnabled", ifTrue: ingressEnabled)
      writer.field("AllowsUpdate", ifTrue: allowsUpdate)
      writer.field("Machine", ifNonempty: machine)
      writer.field("GoArch", ifNonempty: goArch)
      writer.field("GoArchVar", ifNonempty: goArchVar)
      writer.field("GoVersion", ifNonempty: goVersion)
      writer.field("RoutableIPs", textsIfNonempty: routableIPs)
      writer.field("RequestTags", ifNonempty: requestTags)
      writer.field("WoLMACs", ifNonempty: wolMACs)
      writer.field("Services", ifNonempty: services)
      writer.field("NetInfo", ifPresent: netInfo)
      writer.field("sshHostKeys", ifNonempty: sshHostKeys)
      writer.field("Cloud", ifNonempty: cloud)
      writer.field("Userspace", ifPresent: userspace)
      writer.field("UserspaceRouter", ifPresent: userspaceRouter)
      writer.field("AppConnector", ifPresent: appConnector)
      writer.field("ServicesHash", ifNonempty: servicesHash)
      writer.field("PeerRelay", ifTrue: peerRelay)
      writer.field("ExitNodeID", ifNonempty: exitNodeID)
      writer.field("Location", ifPresent: location)
      writer.field("TPM", ifPresent: tpm)
      writer.field("StateEncrypted", ifPresent: stateEncrypted)
      writer.field("RemoteConfig", ifTrue: remoteConfig)
    }
  }
}
