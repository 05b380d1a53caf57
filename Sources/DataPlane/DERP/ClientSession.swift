// SPDX-License-Identifier: Apache-2.0

public import Cryptography
public import Keys
public import Timing

/// A client's conversation with its relay, from the first frame on.
///
/// The driver opens the connection, upgrades it, feeds what it receives and sends `effects.output`.
/// Packets may be sent as soon as the relay's key is known; before, they are refused.
public struct ClientSession: Sendable {
  /// What the session asks of its driver.
  ///
  /// The driver owns it, reuses it and empties it.
  public struct Effects: Hashable, Sendable {
    /// Bytes to send.
    public var output: [UInt8] = []
    /// What happened.
    public var events: [Event] = []

    /// Nothing to do.
    public init() {}
  }

  /// What happened.
  public enum Event: Hashable, Sendable {
    /// The relay admitted us.
    case connected(ServerInfo)
    /// A packet came from another client.
    case packet(from: NodeKey, [UInt8])
    /// Another client is not here, or no longer.
    case peerGone(NodeKey, PeerGoneReason)
    /// The relay answered our ping.
    case pong(UInt64)
    /// What the relay finds wrong with us; nil when nothing is.
    case health(String?)
    /// The relay is about to restart.
    case restarting(reconnectIn: Duration, tryFor: Duration)
  }

  /// Why the session cannot go on.
  public enum Failure: Error, Hashable, Sendable {
    /// What came is not frames.
    case frame(FrameError)
    /// The relay's key is not the one it was said to have.
    case wrongKey(NodeKey)
    /// The relay's description of itself cannot be opened or read.
    case badServerInfo
    /// The relay did not admit us in time.
    case handshakeTimedOut
    /// Nothing came for longer than a live relay is silent.
    case silent
  }

  /// What became of a packet.
  public enum Sending: Hashable, Sendable {
    /// It is in the output.
    case sent
    /// It is longer than a relay carries.
    case tooLong
    /// The relay's key is not known yet.
    case notReady
    /// The relay asked us to send less.
    case limited
  }

  /// How long the relay may take to admit us.
  public static let handshakeTimeout = Duration.seconds(10)
  /// How long a live relay is silent at most: it sends a keep-alive every minute.
  public static let silenceTimeout = Duration.seconds(120)

  private enum State: Hashable, Sendable {
    case waitingForKey
    case waitingForInfo
    case connected
  }

  /// The relay's key, once known.
  public private(set) var serverKey: NodeKey?
  /// Packets that were refused, for whatever reason.
  public private(set) var refusedPackets = 0

  private let privateKey: NodePrivateKey
  private let info: ClientInfo
  private var entropy: Entropy
  private var state = State.waitingForKey
  private var decoder = FrameDecoder(for: .client)
  private var isHome: Bool
  private var deadline: Instant
  private var limit: TokenBucket?

  /// A session that has just been upgraded.
  ///
  /// - Parameters:
  ///   - privateKey: Who we are.
  ///   - serverKey: The relay's key where fast start told it, else nil.
  ///   - isHome: Whether this relay is our home.
  ///   - info: What the relay is told about us.
  ///   - entropy: Where nonces come from.
  ///   - now: The time.
  ///   - effects: What to do.
  public init(
    privateKey: NodePrivateKey,
    serverKey: NodeKey? = nil,
    isHome: Bool,
    info: ClientInfo = ClientInfo(),
    entropy: Entropy,
    at now: Instant,
    into effects: inout Effects
  ) {
    (self.privateKey, self.isHome, self.info) = (privateKey, isHome, info)
    self.entropy = entropy
    deadline = now + Self.handshakeTimeout
    if let serverKey { introduce(to: serverKey, &effects) }
  }

  /// Whether the relay has admitted us.
  public var isConnected: Bool { state == .connected }

  /// When `handleTimeouts` wants to be called.
  public var nextTimeout: Instant { deadline }

  /// Says that nothing came in time, if so.
  public func handleTimeouts(at now: Instant) throws(Failure) {
    guard now >= deadline else { return }
    throw isConnected ? .silent : .handshakeTimedOut
  }

  // MARK: Receiving

  /// Takes what was received.
  public mutating func receive(
    _ bytes: [UInt8],
    at now: Instant,
    into effects: inout Effects
  ) throws(Failure) {
    decoder.append(bytes)
    while let frame = try nextFrame() { try handle(frame, at: now, into: &effects) }
  }

  private mutating func nextFrame() throws(Failure) -> Frame? {
    do { return try decoder.next() } catch { throw .frame(error) }
  }

  private mutating func handle(
    _ frame: Frame,
    at now: Instant,
    into effects: inout Effects
  ) throws(Failure) {
    if isConnected { deadline = now + Self.silenceTimeout }
    switch frame {
    case .serverKey(let key): try receive(key: key, into: &effects)
    case .serverInfo(let sealed): try receive(sealedInfo: sealed, at: now, into: &effects)
    case .receivePacket(let source, let packet):
      effects.events.append(.packet(from: source, packet))
    case .peerGone(let key, let reason): effects.events.append(.peerGone(key, reason))
    case .ping(let token): Frame.pong(token).write(to: &effects.output)
    case .pong(let token): effects.events.append(.pong(token))
    case .health(let text): effects.events.append(.health(text.isEmpty ? nil : text))
    case .restarting(let reconnect, let attempt):
      effects.events.append(.restarting(reconnectIn: reconnect, tryFor: attempt))
    default: break
    }
  }

  private mutating func receive(key: NodeKey, into effects: inout Effects) throws(Failure) {
    if let serverKey {
      // With fast start the frame comes when we know the key already.
      guard serverKey == key else { throw .wrongKey(key) }
    } else {
      introduce(to: key, &effects)
    }
  }

  private mutating func introduce(to key: NodeKey, _ effects: inout Effects) {
    serverKey = key
    state = .waitingForInfo
    let box = NaClBox(privateKey: privateKey.bytes, publicKey: key.bytes)
    let sealed = box.seal(info.json, using: &entropy)
    Frame.clientInfo(privateKey.publicKey, sealed: sealed).write(to: &effects.output)
    if isHome { Frame.notePreferred(true).write(to: &effects.output) }
  }

  private mutating func receive(
    sealedInfo: [UInt8],
    at now: Instant,
    into effects: inout Effects
  ) throws(Failure) {
    guard let serverKey, state == .waitingForInfo else { return }
    let box = NaClBox(privateKey: privateKey.bytes, publicKey: serverKey.bytes)
    guard let json = box.open(sealedInfo), let info = ServerInfo(json: json) else {
      throw .badServerInfo
    }
    state = .connected
    deadline = now + Self.silenceTimeout
    if let rate = info.bytesPerSecond, rate > 0 {
      let burst = max(info.bytesBurst ?? rate, Frame.headerSize + 32 + Frame.maximumPacketSize)
      limit = TokenBucket(
        perSecond: min(rate, 1_000_000_000),
        burst: min(burst, 1_000_000_000),
        at: now
      )
    }
    effects.events.append(.connected(info))
  }

  // MARK: Sending

  /// Sends a packet to another client.
  ///
  /// - Parameters:
  ///   - packet: The packet, perhaps one of a train.
  ///   - destination: The other client.
  ///   - now: The time.
  ///   - effects: Where it goes.
  /// - Returns: What became of it.
  public mutating func send(
    _ packet: ArraySlice<UInt8>,
    to destination: NodeKey,
    at now: Instant,
    into effects: inout Effects
  ) -> Sending {
    let sending = admit(packet.count, at: now)
    if sending == .sent {
      Frame.writePacket(.sendPacket, destination, packet, to: &effects.output)
    } else {
      refusedPackets += 1
    }
    return sending
  }

  private mutating func admit(_ size: Int, at now: Instant) -> Sending {
    guard size <= Frame.maximumPacketSize else { return .tooLong }
    guard serverKey != nil else { return .notReady }
    let cost = Frame.headerSize + 32 + size
    return limit?.admit(cost, at: now) ?? true ? .sent : .limited
  }

  /// Tells the relay whether it is our home, when that changes.
  public mutating func notePreferred(_ isHome: Bool, into effects: inout Effects) {
    guard isHome != self.isHome else { return }
    self.isHome = isHome
    // Before we introduced ourselves nothing is said: the introduction says it.
    if serverKey != nil { Frame.notePreferred(isHome).write(to: &effects.output) }
  }

  /// Asks the relay for a sign of life; `.pong` with the same token follows.
  public mutating func ping(_ token: UInt64, into effects: inout Effects) {
    if serverKey != nil { Frame.ping(token).write(to: &effects.output) }
  }
}
