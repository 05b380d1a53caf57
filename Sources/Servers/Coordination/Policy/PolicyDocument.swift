// SPDX-License-Identifier: Apache-2.0

internal import Addressing
internal import ControlProtocol

/// A policy as it is written, each part checked by itself.
struct PolicyDocument: Hashable, Sendable {
  /// A protocol and ports; without protocol, the usual ones.
  struct Flow: Hashable, Sendable {
    var proto: Int?
    var ports: [PortRange]
  }

  /// Where a rule leads.
  struct Target: Hashable, Sendable {
    var selector: Located<Selector>
    var flows: [Flow]
  }

  /// Capabilities by name, each with its values as JSON.
  typealias Capabilities = [String: [[UInt8]]]

  /// An entry of `acls` or `grants`.
  struct Rule: Hashable, Sendable {
    var offset: Int
    var isGrant: Bool
    var sources: [Located<Selector>] = []
    var targets: [Target] = []
    var capabilities: Capabilities = [:]
    var via: [Located<Selector>] = []
    var postures: [Located<String>] = []
  }

  /// How long a check of an SSH session lasts.
  enum CheckPeriod: Hashable, Sendable {
    case always
    case lasting(Duration)
  }

  /// An entry of `ssh`.
  struct SSHRule: Hashable, Sendable {
    var offset: Int
    var isCheck = false
    var sources: [Located<Selector>] = []
    var destinations: [Located<Selector>] = []
    var users: [String] = []
    var checkPeriod: CheckPeriod?
    var acceptEnvironment: [String] = []
    var recorders: [Located<Selector>] = []
    var enforcesRecorder = false
    var postures: [Located<String>] = []
  }

  /// An entry of `nodeAttrs`.
  struct Attributes: Hashable, Sendable {
    var offset: Int
    var targets: [Located<Selector>] = []
    var names: [String] = []
    var capabilities: Capabilities = [:]
    var pools: [Located<IPPrefix>] = []
  }

  /// An entry of `tests`.
  struct AccessTest: Hashable, Sendable {
    var offset: Int
    var source = Located("", at: 0)
    var proto: Int?
    var protoIsUnknown = false
    var accept: [Located<String>] = []
    var deny: [Located<String>] = []
    var attributes: [String: PostureValue] = [:]
  }

  /// An entry of `sshTests`.
  struct SSHTest: Hashable, Sendable {
    var offset: Int
    var source = Located("", at: 0)
    var destinations: [Located<String>] = []
    var accept: [String] = []
    var deny: [String] = []
    var check: [String] = []
  }

  /// A named list of words.
  struct Named: Hashable, Sendable {
    var offset: Int
    var members: [Located<Selector>]
  }

  /// One step in the making of an address set.
  struct SetStep: Hashable, Sendable {
    var removes: Bool
    var selector: Located<Selector>
  }

  var rules: [Rule] = []
  /// Whether there is an `acls` or a `grants`, though it be empty; without either all is allowed.
  var hasRules = false
  var ssh: [SSHRule] = []
  var groups: [String: Named] = [:]
  var hosts: [String: Located<AddressRange>] = [:]
  var sets: [String: Located<[SetStep]>] = [:]
  var tagOwners: [String: Named] = [:]
  var routeApprovers: [IPPrefix: Named] = [:]
  var exitApprovers: [Located<Selector>] = []
  var serviceApprovers: [String: Named] = [:]
  var attributes: [Attributes] = []
  var postures: [String: Located<[PostureCondition]>] = [:]
  var defaultPostures: [Located<String>] = []
  var tests: [AccessTest] = []
  var sshTests: [SSHTest] = []
  /// Attributes that every device has, for options of the whole network.
  var commonAttributes: [String] = []
}
