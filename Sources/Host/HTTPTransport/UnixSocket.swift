// SPDX-License-Identifier: Apache-2.0

import Glibc
import NIOCore
import NIOPosix

extension PeerCredentials {
  /// What the kernel knows of the process at the other end; nil unless it is a unix socket.
  ///
  /// - Source: unix(7), `SO_PEERCRED`.
  init?(of channel: any Channel) {
    guard let isUnix = channel.localAddress.map({ $0.protocol == .unix }), isUnix,
      let provider = channel as? any SocketOptionProvider,
      channel.eventLoop.inEventLoop
    else { return nil }
    let found =
      provider.unsafeGetSocketOption(
        level: .socket,
        name: .init(rawValue: SO_PEERCRED)
      ) as EventLoopFuture<PeerCredentials>
    self.init(completed: found)
  }

  /// The value of a future that was completed on this very loop.
  private init?(completed future: EventLoopFuture<PeerCredentials>) {
    let box = NIOLoopBoundBox<PeerCredentials?>(nil, eventLoop: future.eventLoop)
    future.whenSuccess { box.value = $0 }
    guard let value = box.value else { return nil }
    self = value
  }
}

/// Where a unix socket lives in the file system.
enum UnixSocketPath {
  /// Prepares the place where a socket is made before it is moved to `path` with its mode set, so
  /// that nobody connects in between and a stale socket is replaced at once.
  static func staging(for path: String) -> String {
    let staged = path + ".new"
    unsafe unlink(staged)
    return staged
  }

  /// Sets the mode of the socket at `staged` and moves it to `path`.
  static func publish(_ staged: String, as path: String, mode: UInt32) throws(HTTPTransportError) {
    guard unsafe chmod(staged, mode) == 0, unsafe rename(staged, path) == 0 else {
      let code = errno
      unsafe unlink(staged)
      throw HTTPTransportError(.system, "cannot make the socket \(path): \(describe(code))")
    }
  }

  /// Removes the socket, at the end.
  static func remove(_ path: String) { unsafe unlink(path) }
}

/// What the operating system calls an error.
func describe(_ code: Int32) -> String { "\(IOError(errnoCode: code, reason: "error"))" }
