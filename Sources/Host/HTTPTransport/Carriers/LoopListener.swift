// SPDX-License-Identifier: Apache-2.0

import Addressing
import HostIO
import NIOCore
import Synchronization

/// A TCP port whose connections loops of our own carry.
final class LoopListener: @unchecked Sendable {
  // SAFETY: what changes belongs to the thread of the first loop.

  /// How long it waits where the system has no descriptors left.
  private static let pause = TimeAmount.milliseconds(100)

  /// Where it listens.
  let endpoint: Endpoint
  var token: UInt64 = 0
  private var listener: TCPListener?
  private let loops: [StreamLoop]
  private let accepted: @Sendable (LoopConnection, Endpoint) -> ByteStream?
  private let stopped = Mutex<[CheckedContinuation<Void, Never>]>([])

  /// Begins to listen.
  ///
  /// `accepted` makes the stream of a connection, or refuses it.
  init(
    on endpoint: Endpoint,
    isV6Only: Bool,
    accepted: @escaping @Sendable (LoopConnection, Endpoint) -> ByteStream?
  ) throws(HostError) {
    loops = try StreamLoop.all.get()
    let listener = try TCPListener(on: endpoint, isV6Only: isV6Only)
    self.endpoint = listener.endpoint
    self.listener = consume listener
    self.accepted = accepted
  }

  /// Takes connections from now on.
  func start() { loops.first?.post(.listen(self)) }

  /// Takes no more; returns when the port is free.
  func stop() async {
    await withCheckedContinuation { continuation in
      stopped.withLock { $0.append(continuation) }
      loops.first?.post(.stop(self))
    }
  }

  // MARK: On the first loop

  func watch(_ poller: borrowing Poller) {
    guard let descriptor = listener?.rawDescriptor else { return }
    // The system refuses only where it has no memory, and then connections are refused as well.
    try? poller.add(descriptor, token: token)
  }

  func stop(_ poller: borrowing Poller) {
    // It may be left alone at the moment.
    if let descriptor = listener?.rawDescriptor { try? poller.remove(descriptor) }
    listener = nil
    let waiting = stopped.withLock { waiting in
      defer { waiting = [] }
      return waiting
    }
    for continuation in waiting { continuation.resume() }
  }

  func acceptSome(_ count: Int) {
    for _ in 0..<count {
      guard let acceptance = listener?.accept() else { return }
      switch consume acceptance {
      case .accepted(let socket, let remote): take(socket, remote)
      case .nobody: return
      case .failed(let code):
        // Whoever left before being accepted is no reason to wait.
        if code == 103 { continue }
        return rest()
      }
    }
  }

  private func take(_ socket: consuming TCPSocket, _ remote: Endpoint) {
    guard let loop = StreamLoop.leastBusy(of: loops) else { return }
    let connection = LoopConnection(socket, on: loop)
    let source = Endpoint(remote.address.unmapped, port: remote.port)
    guard let stream = accepted(connection, source) else { return }
    loop.post(.adopt(connection, stream))
  }

  private func rest() {
    guard let loop = loops.first, let descriptor = listener?.rawDescriptor else { return }
    loop.ignore(descriptor)
    loop.eventLoop.scheduleTask(in: Self.pause) { [self] in
      loop.post(.work { loop.watch(self) })
    }
  }
}
