// SPDX-License-Identifier: Apache-2.0

import ControlProtocol
import Cryptography
import DataPlaneDriver
import HostConfiguration
import JSON
import Keys
import LocalAPI
import Logging
import Netmap
import Timing

/// Starting without the coordination server: from the network map that it told last.
///
/// The map is kept beside the state whenever it has changed. A node that starts with it also starts with
/// the discovery key of its last run, for that is the one its peers know; it takes a new one as soon as
/// the server listens and can tell them.
extension NodeBackend {
  /// The name of the file.
  static let mapFile = "netmap.json"
  /// How long changes of the map are gathered before it is written.
  private static let calm = Duration.seconds(2)
  /// The largest file that is read.
  private static let maximumBytes = 64 << 20
  private static let isUnwanted = "disable-cache-network-maps"

  /// The map of the last run, if it is this node's.
  static func rememberedMap(
    _ store: StateStore,
    _ state: NodeState,
    _ logger: Logger
  ) -> NetworkMap? {
    let preferences = state.preferences
    guard let key = preferences.config?.privateNodeKey?.publicKey, preferences.wantRunning,
      !preferences.loggedOut
    else { return nil }
    do {
      guard let bytes = try store.read(mapFile, atMost: maximumBytes) else { return nil }
      var map = NetworkMap()
      map.beginStream()
      _ = map.apply(try MapResponse(json: bytes), at: .zero)
      // Another login left it there.
      guard map.selfNode?.key == key else { return nil }
      return map
    } catch {
      // The server says it all anew.
      logger.warning("the network map of the last run is of no use", metadata: ["why": "\(error)"])
      return nil
    }
  }

  /// Has the map written soon.
  func rememberMapSoon() {
    guard mapWriter == nil else { return }
    mapWriter = Task { [weak self] in
      do { try await Task.sleep(for: Self.calm) } catch { return }
      await self?.rememberMap()
    }
  }

  /// Writes the map, if anything about it changed since.
  func rememberMap() {
    mapWriter?.cancel()
    mapWriter = nil
    guard let netmap, netmap.selfNode != nil else { return }
    guard !netmap.hasCapability(Self.isUnwanted) else { return forgetMap() }
    do {
      try store.write(Self.mapFile, netmap.snapshot.json)
    } catch {
      // It is a help for bad times only.
      logger.warning("the network map is not kept", metadata: ["why": "\(error)"])
    }
  }

  /// Forgets the map of a network that this node has left.
  func forgetMap() {
    mapWriter?.cancel()
    mapWriter = nil
    do {
      try store.remove(Self.mapFile)
    } catch {
      logger.warning("the network map stays on disk", metadata: ["why": "\(error)"])
    }
  }

  /// Takes a fresh discovery key, now that the server can tell peers of it.
  ///
  /// It also tells them that sessions of the last run are gone.
  func renewDiscoKey() async {
    guard isDiscoKeyOld else { return }
    isDiscoKeyOld = false
    let fresh = DiscoPrivateKey.generate(using: &entropy)
    do {
      try save { state, _ in state.discoKey = fresh }
    } catch {
      logger.warning("the discovery key stays as it is", metadata: ["why": "\(error)"])
      return
    }
    discoKey = fresh
    plane.use(fresh)
    tellNews()
  }
}
