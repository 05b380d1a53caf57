// SPDX-License-Identifier: Apache-2.0

import Cryptography
import DERP
import HTTPTransport
import HostIO
import Keys
import Logging
import Synchronization
import Timing

/// Keeps a connection to another relay of the mesh, and forwards over it.
final class MeshLink: Sendable {
  /// How long after an end the other relay is tried again.
  static let retryInterval = Duration.seconds(5)
  /// How long the other relay may take until it answers.
  static let dialTimeout = Duration.seconds(10)
  /// How long a live relay is silent at most.
  static let silenceTimeout = Duration.seconds(120)
  /// How long what is forwarded may wait for the other relay to read.
  static let writeTimeout = Duration.seconds(5)

  private let peer: MeshPeer
  private let key: NodePrivateKey
  private let meshKey: MeshKey
  private let core: RelayCore
  private let logger: Logger

  init(
    _ peer: MeshPeer,
    key: NodePrivateKey,
    meshKey: MeshKey,
    on core: RelayCore,
    logger: Logger
  ) {
    (self.peer, self.key, self.meshKey) = (peer, key, meshKey)
    (self.core, self.logger) = (core, logger)
  }

  /// Connects again and again until the task is cancelled, or the other relay is this one.
  func run(retryingAfter interval: Duration = MeshLink.retryInterval) async {
    while !Task.isCancelled {
      do {
        try await connect()
      } catch MeshSession.Failure.itself {
        return logger.notice("does not mesh with itself", metadata: ["relay": "\(peer.host)"])
      } catch {
        logger.info(
          "a connection in the mesh ended",
          metadata: ["relay": "\(peer.host)", "reason": "\(error)"]
        )
      }
      // Cancellation ends the sleep, and the loop with it.
      try? await Task.sleep(for: interval)
    }
  }

  private func connect() async throws {
    let tls: TLSClientSettings? =
      peer.isTLS
      ? peer.pin.map { .pinned(sha256: $0, hostname: peer.host) }
        ?? .systemRoots(hostname: peer.host) : nil
    let stream = try await Dialer().dial(
      host: peer.dial ?? peer.host,
      port: peer.port,
      tls: tls,
      timeout: Self.dialTimeout
    )
    let outlet = Outlet(stream, core.switchboard)
    await withTaskCancellationHandler {
      await outlet.serve(peer.host, key, meshKey, logger)
    } onCancel: {
      stream.abort()
    }
    if let failure = outlet.failure { throw failure }
  }

  /// One connection, while it lasts.
  private final class Outlet: RelayConnection {
    private let stream: ByteStream
    private let switchboard: Switchboard
    private let pumping = Mutex(())
    private let forwarder = Mutex<MeshForwarder?>(nil)
    private let ended = Mutex<(any Error)?>(nil)

    init(_ stream: ByteStream, _ switchboard: Switchboard) {
      (self.stream, self.switchboard) = (stream, switchboard)
    }

    var failure: (any Error)? { ended.withLock { $0 } }

    func serve(_ host: String, _ key: NodePrivateKey, _ mesh: MeshKey, _ logger: Logger) async {
      stream.limitStalls(to: MeshLink.writeTimeout)
      let forwarder = switchboard.addForwarder(self)
      self.forwarder.withLock { $0 = forwarder }
      do {
        try await exchange(host, key, mesh, forwarder, logger)
      } catch {
        ended.withLock { $0 = error }
      }
      stream.abort()
      var effects = RelayEffects()
      switchboard.remove(forwarder, at: MonotonicClock.now(), into: &effects)
      switchboard.settle(&effects)
      self.forwarder.withLock { $0 = nil }
    }

    private func exchange(
      _ host: String,
      _ key: NodePrivateKey,
      _ mesh: MeshKey,
      _ forwarder: MeshForwarder,
      _ logger: Logger
    ) async throws {
      var patience = stream.abort(after: MeshLink.dialTimeout, because: "it did not answer")
      _ = try await HTTPClient.upgrade(stream, host: host, path: "/derp", protocol: "DERP")
      var session = MeshSession(
        privateKey: key,
        meshKey: mesh,
        forwarder: forwarder,
        entropy: .system
      )
      var effects = RelayEffects()
      while let bytes = try await stream.read() {
        patience.cancel()
        patience = stream.abort(after: MeshLink.silenceTimeout, because: "it fell silent")
        let wasConnected = session.isConnected
        let answer = try session.receive(
          bytes,
          at: MonotonicClock.now(),
          on: switchboard,
          into: &effects
        )
        switchboard.settle(&effects)
        if !answer.isEmpty { try await stream.write(answer) }
        if session.isConnected, !wasConnected {
          logger.notice("meshes with another relay", metadata: ["relay": "\(host)"])
        }
      }
      patience.cancel()
      throw RelayError("it closed the connection")
    }

    func outputWaits() {
      guard let forwarder = forwarder.withLock({ $0 }) else { return }
      pumping.withLock { _ in
        var counts = RelayCounters()
        var hasMore = true
        while hasMore {
          var output: [UInt8] = []
          hasMore = forwarder.takeOutput(
            upTo: RelayCore.writeSize,
            at: MonotonicClock.now(),
            into: &output,
            &counts
          )
          // What does not fit is lost, like on any other path: tunnels bear it.
          if !output.isEmpty { _ = stream.offer(output) }
        }
        switchboard.add(counts)
      }
    }

    func end(because reason: RelayClosing) { stream.abort() }
  }
}
