// SPDX-License-Identifier: Apache-2.0

package import Addressing
import Cryptography
import Disco
import HostIO
import Magicsock
import Packets
package import PeerRelay
import Synchronization
import Timing

/// The loop of this node's peer relay, on a thread and sockets of its own.
///
/// What arrives goes out again from the buffer it lies in, a train at a time; nothing is kept.
struct PeerRelayThread: ~Copyable {
  private enum Token: UInt64 {
    case wake
    case v4
    case v6
  }

  private var sockets: PeerRelaySockets
  private var poller: Poller
  private var relay: PeerRelayServer
  private let received = PacketMemory(capacity: UDPSocket.receiveCapacity)
  private let mailbox: PeerRelayMailbox
  private let answer: @Sendable (RelayAllocation, RelayRequest) -> Void

  init(
    _ sockets: consuming PeerRelaySockets,
    mailbox: PeerRelayMailbox,
    answer: @escaping @Sendable (RelayAllocation, RelayRequest) -> Void
  ) throws(HostError) {
    let poller = try Poller()
    try poller.add(mailbox.signal.rawDescriptor, token: Token.wake.rawValue)
    try poller.add(sockets.v4.rawDescriptor, token: Token.v4.rawValue)
    if let v6 = sockets.v6Descriptor { try poller.add(v6, token: Token.v6.rawValue) }
    self.poller = poller
    self.sockets = sockets
    relay = PeerRelayServer(entropy: .system, at: MonotonicClock.now())
    (self.mailbox, self.answer) = (mailbox, answer)
  }

  /// The port it listens on.
  var port: UInt16 { sockets.v4.localEndpoint.port }

  /// Runs until it is told to stop.
  mutating func run() {
    while true {
      let ready = poller.wait(until: relay.nextTimeout)
      let now = MonotonicClock.now()
      for index in 0..<ready {
        switch Token(rawValue: poller[index].token) {
        case .wake:
          mailbox.signal.consume()
          guard readMail(at: now) else { return }
        case .v4: receiveV4(at: now)
        case .v6: receiveV6(at: now)
        case nil: preconditionFailure("a descriptor is ready that was never added")
        }
      }
      relay.handleTimeouts(at: now)
      sendOwn()
    }
  }

  private mutating func receiveV4(at now: Instant) {
    for _ in 0..<DataPlaneThread.turn {
      // SAFETY: the buffer belongs to this thread and outlives the call.
      guard let train = unsafe sockets.v4.receive(into: received.raw) else { return }
      take(train, at: now)
    }
  }

  private mutating func receiveV6(at now: Instant) {
    for _ in 0..<DataPlaneThread.turn {
      // SAFETY: the buffer belongs to this thread and outlives the call.
      guard let train = unsafe sockets.v6?.receive(into: received.raw) else { return }
      take(train, at: now)
    }
  }

  /// Carries on what belongs together, together.
  private mutating func take(_ train: UDPSocket.Received, at now: Instant) {
    let bytes = received.bytes.slice(0..<train.count)
    let size = train.segmentSize
    var start = 0
    while start < bytes.count {
      var end = min(start + size, bytes.count)
      let kind = RelayedKind(of: bytes.slice(start..<end))
      guard case .data(let network) = kind else {
        take(bytes.slice(start..<end), kind, from: train.source, at: now)
        start = end
        continue
      }
      while end < bytes.count {
        let next = min(end + size, bytes.count)
        guard RelayedKind(of: bytes.slice(end..<next)) == kind else { break }
        end = next
      }
      let run = bytes.slice(start..<end)
      let count = (run.count + size - 1) / size
      if let destination = relay.forward(
        network,
        from: train.source,
        packets: count,
        bytes: run.count,
        at: now
      ) {
        // SAFETY: the run lies in the receive buffer, which outlives the call.
        unsafe send(UnsafeRawBufferPointer(start: run.pointer, count: run.count), size, destination)
      }
      start = end
    }
  }

  private mutating func take(
    _ datagram: PacketBytes,
    _ kind: RelayedKind,
    from source: Endpoint,
    at now: Instant
  ) {
    switch kind {
    case .control:
      guard let reply = relay.receive(datagram.array, from: source, at: now) else { return }
      send(reply, to: source)
    case .stun: relay.receiveSTUN(datagram.array, at: now)
    case .data, .other: relay.counters.malformed &+= 1
    }
  }

  private mutating func sendOwn() {
    guard !relay.sends.isEmpty else { return }
    for one in relay.sends { send(one.bytes, to: one.destination) }
    relay.sends.removeAll()
  }

  private mutating func send(_ bytes: [UInt8], to endpoint: Endpoint) {
    // SAFETY: the bytes outlive the call.
    unsafe bytes.withUnsafeBytes { unsafe send($0, 0, endpoint) }
  }

  private mutating func send(_ bytes: UnsafeRawBufferPointer, _ size: Int, _ to: Endpoint) {
    // SAFETY: the caller vouches for the bytes.
    let result =
      to.address.isV4
      ? unsafe sockets.v4.send(bytes, segmentSize: size, to: to)
      : unsafe sockets.v6?.send(bytes, segmentSize: size, to: to) ?? .unreachable
    if result != .sent { relay.counters.notSent &+= 1 }
  }

  private mutating func readMail(at now: Instant) -> Bool {
    for mail in mailbox.drain() {
      switch mail {
      case .attach(let addresses, let explicit, let servers):
        let network = LocalNetwork(
          addresses: addresses,
          portV4: port,
          portV6: sockets.v6Descriptor == nil ? nil : port
        )
        relay.attach(
          local: network.localEndpoints,
          explicit: explicit,
          servers: servers,
          at: now
        )
      case .allocate(let request):
        if let allocation = relay.allocate(request.clients, at: now) { answer(allocation, request) }
      case .status(let continuation):
        continuation.resume(
          returning: PeerRelayStatus(
            port: port,
            endpoints: relay.endpoints(at: now),
            sessions: relay.report(at: now),
            counters: relay.counters
          )
        )
      case .stop: return false
      }
    }
    return true
  }
}

/// The sockets of a peer relay: one for each family.
struct PeerRelaySockets: ~Copyable {
  var v4: UDPSocket
  /// Absent where the host has IPv6 switched off.
  var v6: UDPSocket?

  /// Binds `port` in both families.
  static func open(port: UInt16, mark: UInt32) throws(HostError) -> PeerRelaySockets {
    let v4 = try UDPSocket.bind(Endpoint(.unspecified(.v4), port: port), mark: mark)
    let place = Endpoint(.unspecified(.v6), port: v4.localEndpoint.port)
    // A host without IPv6 refuses, and has none.
    let v6 = try? UDPSocket.bind(place, mark: mark)
    return PeerRelaySockets(v4: v4, v6: v6)
  }

  /// The IPv6 socket, for a poller.
  var v6Descriptor: Int32? {
    switch v6 {
    case .some(let socket): socket.rawDescriptor
    case nil: nil
    }
  }
}

/// What this node's peer relay did and knows, at one moment.
package struct PeerRelayStatus: Sendable {
  /// The port it listens on.
  package var port: UInt16
  /// Where it is reached.
  package var endpoints: [Endpoint]
  /// Who meets there.
  package var sessions: [PeerRelayServer.Session]
  /// What it carried and dropped.
  package var counters: PeerRelayCounters
}

/// What the rest of the node has to say to its peer relay.
enum PeerRelayMail: Sendable {
  case attach(addresses: [IPAddress], explicit: [Endpoint], servers: [Endpoint])
  case allocate(RelayRequest)
  case status(CheckedContinuation<PeerRelayStatus?, Never>)
  case stop
}

/// Where it is left.
final class PeerRelayMailbox: Sendable {
  /// How many requests may wait; then more are dropped, and repeated by who asked.
  static let maximumRequests = 1024

  private struct State {
    var mail: [PeerRelayMail] = []
    var requests = 0
    var isClosed = false
  }

  let signal: WakeSignal
  private let state = Mutex(State())

  init() throws(HostError) { signal = try WakeSignal() }

  /// Leaves word; false when nobody will read it.
  @discardableResult
  func post(_ mail: PeerRelayMail) -> Bool {
    let (isTaken, mustWake) = state.withLock { state -> (Bool, Bool) in
      guard !state.isClosed else { return (false, false) }
      if case .allocate = mail {
        guard state.requests < Self.maximumRequests else { return (false, false) }
        state.requests += 1
      }
      state.mail.append(mail)
      return (true, state.mail.count == 1)
    }
    if mustWake { signal.signal() }
    return isTaken
  }

  /// Takes everything out, in order.
  func drain() -> [PeerRelayMail] {
    state.withLock { state in
      defer { (state.mail, state.requests) = ([], 0) }
      return state.mail
    }
  }

  /// Takes no more; whoever waits for an answer gets none.
  func close() {
    let left = state.withLock { state in
      state.isClosed = true
      defer { state.mail = [] }
      return state.mail
    }
    for case .status(let continuation) in left { continuation.resume(returning: nil) }
  }
}
