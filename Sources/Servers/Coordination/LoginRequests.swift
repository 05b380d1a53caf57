// SPDX-License-Identifier: Apache-2.0

internal import Bytes
package import ControlProtocol
package import Cryptography
package import Keys
package import Timing

/// The name of a login that waits for an administrator: 128 random bits, used once.
package struct LoginID: Hashable, Sendable, CustomStringConvertible {
  private static let digits = 32
  private let text: String

  /// A new name that nobody can guess.
  package init(using entropy: inout Entropy) {
    text = Hex.encode(entropy.bytes(Self.digits / 2))
  }

  /// The name that `text` spells; nil when it is not of our form.
  package init?(_ text: some StringProtocol) {
    let isHex = text.utf8.allSatisfy { isDigit($0) || (0x61...0x66).contains($0) }
    guard text.utf8.count == Self.digits, isHex else { return nil }
    self.text = String(text)
  }

  /// 32 lower-case hexadecimal digits.
  package var description: String { text }
}

/// A machine that asks to be let in, until an administrator decides.
package struct LoginRequest: Hashable, Sendable {
  /// What became of it.
  package enum Verdict: Hashable, Sendable {
    /// Nobody has decided.
    case pending
    /// It became a node.
    case approved(NodeID)
    /// It was sent away.
    case rejected
  }

  /// Its name.
  package let id: LoginID
  /// The machine that asks.
  package let machineKey: MachineKey
  /// The node key that is to be let in.
  package let nodeKey: NodeKey
  /// The key that it had before; zero when it had none.
  package let oldNodeKey: NodeKey
  /// What the machine tells of itself.
  package let hostinfo: Hostinfo
  /// What version of the protocol it speaks.
  package let capabilityVersion: Int
  /// Whether it asks to be forgotten when it has been away.
  package let isEphemeral: Bool
  /// The end it asks for; none when it leaves that to us.
  package let expiry: Timestamp?
  /// When it asked.
  package let created: Moment
  /// What became of it.
  package var verdict = Verdict.pending

  /// The tags it asks for.
  package var requestedTags: [String] { hostinfo.requestTags }
}

/// The logins that wait, bounded in number and in time.
package struct LoginRequests: Sendable {
  /// How many may wait; the oldest gives way.
  package static let maximumCount = 1024
  /// How long one waits.
  package static let lifetime = Duration.seconds(30 * 60)

  private var requests: [LoginID: LoginRequest] = [:]
  private var order: [LoginID] = []
  /// How many gave way because there were too many.
  package private(set) var evicted = 0

  /// Nobody waits.
  package init() {}

  /// Those that wait, oldest first.
  package var pending: [LoginRequest] {
    order.compactMap { requests[$0] }.filter { $0.verdict == .pending }
  }

  package subscript(id: LoginID) -> LoginRequest? { requests[id] }

  /// The request by which the same machine already asks for the same key.
  package func pending(machineKey: MachineKey, nodeKey: NodeKey) -> LoginRequest? {
    requests.values.first {
      $0.machineKey == machineKey && $0.nodeKey == nodeKey && $0.verdict == .pending
    }
  }

  /// Lets one more wait; tells who had to give way.
  package mutating func insert(_ request: LoginRequest) -> LoginID? {
    var loser: LoginID?
    if requests.count >= Self.maximumCount, let oldest = order.first {
      remove(oldest)
      evicted += 1
      loser = oldest
    }
    requests[request.id] = request
    order.append(request.id)
    return loser
  }

  /// Writes down what became of one.
  package mutating func decide(_ id: LoginID, _ verdict: LoginRequest.Verdict) {
    requests[id]?.verdict = verdict
  }

  /// Forgets one.
  package mutating func remove(_ id: LoginID) {
    requests[id] = nil
    order.removeAll { $0 == id }
  }

  /// Forgets those that waited too long, and tells which.
  package mutating func expire(at now: Moment) -> [LoginID] {
    var over: [LoginID] = []
    for id in order {
      guard let request = requests[id], now.instant - request.created.instant >= Self.lifetime
      else { break }
      over.append(id)
    }
    for id in over { requests[id] = nil }
    order.removeFirst(over.count)
    return over
  }
}
