// SPDX-License-Identifier: Apache-2.0

public import Cryptography
public import Keys
public import Timing

/// A relay's conversation with another of its mesh, over a connection that it made itself.
///
/// It says who it is with its own key and the secret of the mesh, asks to be told of everybody, and
/// keeps the switchboard informed of who is reached this way.
public struct MeshSession: Sendable {
  /// Why the connection is of no use.
  public enum Failure: Error, Hashable, Sendable {
    /// What came is not frames.
    case frame(FrameError)
    /// The other relay is this one.
    case itself
    /// The other relay's description of itself cannot be opened.
    case badServerInfo
  }

  /// Whether the other relay took us in.
  public private(set) var isConnected = false
  /// The clients that the other relay told of.
  public private(set) var clients = 0

  private let privateKey: NodePrivateKey
  private let meshKey: MeshKey
  private let forwarder: MeshForwarder
  private var entropy: Entropy
  private var decoder = FrameDecoder(for: .watcher)
  private var box: NaClBox?
  private var serverKey: NodeKey?

  /// A session that was just upgraded.
  public init(
    privateKey: NodePrivateKey,
    meshKey: MeshKey,
    forwarder: MeshForwarder,
    entropy: Entropy
  ) {
    (self.privateKey, self.meshKey, self.forwarder) = (privateKey, meshKey, forwarder)
    self.entropy = entropy
  }

  /// Takes what the other relay sent.
  ///
  /// - Parameters:
  ///   - bytes: What came.
  ///   - now: The time.
  ///   - switchboard: Who is told of clients.
  ///   - effects: What follows for our own clients.
  /// - Returns: What is to be sent.
  /// - Throws: when the connection is of no use.
  public mutating func receive(
    _ bytes: [UInt8],
    at now: Instant,
    on switchboard: Switchboard,
    into effects: inout RelayEffects
  ) throws(Failure) -> [UInt8] {
    decoder.append(bytes)
    var output: [UInt8] = []
    while let frame = try nextFrame() {
      switch frame {
      case .serverKey(let key): try introduce(to: key, &output)
      case .serverInfo(let sealed):
        guard let json = box?.open(sealed), ServerInfo(json: json) != nil else {
          throw .badServerInfo
        }
        isConnected = true
      case .peerPresent(let key, _, _):
        // The other relay is a client of ours, and we are one of its; neither is a way to anybody.
        guard isConnected, key != privateKey.publicKey, key != serverKey else { continue }
        clients += 1
        switchboard.add(key, at: forwarder, into: &effects)
      case .peerGone(let key, .disconnected):
        switchboard.remove(key, at: forwarder, now: now, into: &effects)
      case .ping(let token): Frame.pong(token).write(to: &output)
      // What was passed on reached nobody; who sent it finds out as it does where nobody is told.
      default: break
      }
    }
    return output
  }

  private mutating func nextFrame() throws(Failure) -> Frame? {
    do { return try decoder.next() } catch { throw .frame(error) }
  }

  private mutating func introduce(to key: NodeKey, _ output: inout [UInt8]) throws(Failure) {
    guard box == nil else { return }
    guard key != privateKey.publicKey else { throw .itself }
    serverKey = key
    let box = NaClBox(privateKey: privateKey.bytes, publicKey: key.bytes)
    self.box = box
    let info = ClientInfo(meshKey: meshKey)
    let sealed = box.seal(info.json, using: &entropy)
    Frame.clientInfo(privateKey.publicKey, sealed: sealed).write(to: &output)
    Frame.watchConnections.write(to: &output)
  }
}
