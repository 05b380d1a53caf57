// SPDX-License-Identifier: Apache-2.0

import Addressing
import ControlProtocol
import Coordination
import Cryptography
import Keys
import Testing
import Timing

/// A network with a clock that is moved by hand, and everything its effects ever asked for.
struct World {
  var tailnet: Tailnet
  var entropy: Entropy
  var now = Moment(instant: .origin, time: Timestamp(seconds: 1_790_000_000))
  var mutations: [Mutation] = []
  var ended: [NodeID] = []
  var settled: [LoginID] = []

  init(seed: UInt64 = 1, _ change: (inout TailnetOptions) -> Void = { _ in }) {
    entropy = Entropy(seed: seed)
    var options = TailnetOptions(url: "http://10.99.0.3:8080", domain: "lab.example")
    change(&options)
    tailnet = Tailnet(options: options, at: now)
  }

  mutating func advance(by duration: Duration) {
    now = Moment(instant: now.instant + duration, time: now.time + duration)
    act { (tailnet, now, _, effects) in tailnet.handleTimeouts(at: now, into: &effects) }
  }

  mutating func act<Answer>(
    _ event: (inout Tailnet, Moment, inout Entropy, inout Effects) throws -> Answer
  ) rethrows -> Answer {
    var effects = Effects()
    defer {
      mutations += effects.mutations
      ended += effects.endedStreams
      settled += effects.settledLogins
    }
    return try event(&tailnet, now, &entropy, &effects)
  }

  mutating func user(_ name: String = "alice") throws -> User {
    try act { try $0.createUser(name: name, by: "test", at: $1, into: &$3) }
  }

  mutating func key(
    for user: User?,
    reusable: Bool = false,
    ephemeral: Bool = false,
    tags: [String] = [],
    lifetime: Duration? = .seconds(3600)
  ) throws -> String {
    try act {
      try $0.createKey(
        user: user?.id,
        tags: tags,
        isReusable: reusable,
        isEphemeral: ephemeral,
        expiry: lifetime.map { [time = $1.time] in time + $0 },
        by: "test",
        at: $1,
        using: &$2,
        into: &$3
      ).1.text
    }
  }

  mutating func register(
    _ machine: Machine,
    key: String = "",
    followup: String = "",
    change: (inout RegisterRequest) -> Void = { _ in }
  ) -> RegistrationOutcome {
    var request = RegisterRequest()
    request.version = 138
    request.nodeKey = machine.nodeKey
    request.oldNodeKey = machine.oldNodeKey
    request.hostinfo = machine.hostinfo
    request.followup = followup
    if !key.isEmpty { request.auth = RegisterAuth(authKey: key) }
    change(&request)
    return act { $0.register(request, from: machine.machineKey, at: $1, using: &$2, into: &$3) }
  }

  /// The answer to a registration that is answered at once.
  mutating func answer(
    _ machine: Machine,
    key: String = "",
    followup: String = "",
    change: (inout RegisterRequest) -> Void = { _ in }
  ) throws -> RegisterResponse {
    guard
      case .answer(let response) = register(machine, key: key, followup: followup, change: change)
    else { throw Unexpected() }
    return response
  }

  /// A node that has joined by a key of its own.
  mutating func joined(_ machine: Machine, of user: User) throws -> NodeRecord {
    let key = try key(for: user)
    let response = try answer(machine, key: key)
    #expect(response.error == "" && response.machineAuthorized)
    return try #require(tailnet.node(with: machine.nodeKey))
  }

  mutating func machine(_ hostname: String = "laptop") -> Machine {
    Machine(hostname, using: &entropy)
  }
}

struct Unexpected: Error {}

/// A machine with its keys.
struct Machine {
  var machineKey: MachineKey
  var nodeKey: NodeKey
  var oldNodeKey = NodeKey.zero
  var hostinfo = Hostinfo()

  init(_ hostname: String, using entropy: inout Entropy) {
    machineKey = MachinePrivateKey.generate(using: &entropy).publicKey
    nodeKey = NodePrivateKey.generate(using: &entropy).publicKey
    hostinfo.hostname = hostname
  }

  mutating func rotate(using entropy: inout Entropy) {
    oldNodeKey = nodeKey
    nodeKey = NodePrivateKey.generate(using: &entropy).publicKey
  }
}
