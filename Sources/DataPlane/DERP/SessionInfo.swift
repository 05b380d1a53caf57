// SPDX-License-Identifier: Apache-2.0

public import Cryptography
import JSON
public import Keys

/// What a client tells the relay about itself, sealed for the relay.
public struct ClientInfo: Hashable, Sendable {
  /// The version of the protocol that it speaks.
  public var version: Int
  /// Whether it answers pings.
  public var canAnswerPings: Bool
  /// Whether it only measures.
  public var isProber: Bool
  /// The secret of the relay's mesh, 32 bytes, from another relay.
  public var meshKey: MeshKey?

  /// A client.
  public init(
    version: Int = Frame.protocolVersion,
    canAnswerPings: Bool = true,
    isProber: Bool = false,
    meshKey: MeshKey? = nil
  ) {
    (self.version, self.canAnswerPings) = (version, canAnswerPings)
    (self.isProber, self.meshKey) = (isProber, meshKey)
  }

  /// Reads the JSON form.
  public init?(json bytes: [UInt8]) {
    var info = ClientInfo(version: 0, canAnswerPings: false)
    do throws(JSONError) {
      try JSONReader.read(bytes) { (reader) throws(JSONError) in
        try reader.fields { (key, reader) throws(JSONError) in
          switch key {
          case "meshKey":
            let text = try reader.string()
            guard let key = MeshKey(text) else {
              if text == MeshKey.none { break }
              throw reader.invalid("a key of 64 hex digits")
            }
            info.meshKey = key
          case "version": info.version = try reader.int()
          case "CanAckPings": info.canAnswerPings = try reader.bool()
          case "IsProber": info.isProber = try reader.bool()
          default: try reader.skip()
          }
        }
      }
    } catch { return nil }
    self = info
  }

  /// The JSON form.
  public var json: [UInt8] {
    var writer = JSONWriter()
    writer.object { writer in
      writer.field("meshKey", ifPresent: meshKey?.text)
      writer.field("version", version)
      writer.field("CanAckPings", canAnswerPings)
      writer.field("IsProber", ifTrue: isProber)
    }
    return writer.bytes
  }
}

/// What a relay tells an admitted client about itself, sealed for the client.
public struct ServerInfo: Hashable, Sendable {
  /// The version of the protocol that it speaks.
  public var version: Int
  /// How many bytes a second the client should send at most; nil for no limit.
  public var bytesPerSecond: Int?
  /// How many bytes may come at once over that.
  public var bytesBurst: Int?

  /// A relay.
  public init(
    version: Int = Frame.protocolVersion,
    bytesPerSecond: Int? = nil,
    bytesBurst: Int? = nil
  ) {
    (self.version, self.bytesPerSecond, self.bytesBurst) = (version, bytesPerSecond, bytesBurst)
  }

  /// Reads the JSON form.
  public init?(json bytes: [UInt8]) {
    var info = ServerInfo(version: 0)
    do throws(JSONError) {
      try JSONReader.read(bytes) { (reader) throws(JSONError) in
        try reader.fields { (key, reader) throws(JSONError) in
          switch key {
          case "version": info.version = try reader.int()
          case "TokenBucketBytesPerSecond": info.bytesPerSecond = try reader.int()
          case "TokenBucketBytesBurst": info.bytesBurst = try reader.int()
          default: try reader.skip()
          }
        }
      }
    } catch { return nil }
    self = info
  }

  /// The JSON form.
  public var json: [UInt8] {
    var writer = JSONWriter()
    writer.object { writer in
      writer.field("version", version)
      writer.field("TokenBucketBytesPerSecond", ifPresent: bytesPerSecond)
      writer.field("TokenBucketBytesBurst", ifPresent: bytesBurst)
    }
    return writer.bytes
  }
}

/// The relay's side of the first three frames.
public struct RelayHandshake: Sendable {
  /// Who was admitted.
  public struct Admitted: Hashable, Sendable {
    /// The client's key, which it has proven to own.
    public let key: NodeKey
    /// What it told.
    public let info: ClientInfo
  }

  private let privateKey: NodePrivateKey

  /// A relay with this key.
  public init(privateKey: NodePrivateKey) { self.privateKey = privateKey }

  /// The first frame of every connection.
  public var greeting: Frame { .serverKey(privateKey.publicKey) }

  /// Checks that a client owns its key; nil when it does not, or tells nonsense.
  public func open(_ key: NodeKey, sealed: [UInt8]) -> Admitted? {
    guard !key.isZero, key != privateKey.publicKey, let json = box(key).open(sealed),
      let info = ClientInfo(json: json)
    else { return nil }
    return Admitted(key: key, info: info)
  }

  /// The frame that tells a client that it is admitted.
  public func welcome(
    _ key: NodeKey,
    _ info: ServerInfo = ServerInfo(),
    using entropy: inout Entropy
  ) -> Frame {
    .serverInfo(sealed: box(key).seal(info.json, using: &entropy))
  }

  private func box(_ key: NodeKey) -> NaClBox {
    NaClBox(privateKey: privateKey.bytes, publicKey: key.bytes)
  }
}
