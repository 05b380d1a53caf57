// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// What a stream remembers between the event loop and its users; guarded by the stream's lock.
struct ByteStreamState {
  typealias Reader = CheckedContinuation<[UInt8]?, any Error>
  typealias Waiter = CheckedContinuation<Void, Never>

  /// Gets bytes as they come, instead of a reader that asks for them.
  struct Consumer {
    let receive: @Sendable ([UInt8]) -> Void
    let hasRoom: @Sendable () -> Void
  }

  var inbound: [UInt8] = []
  var reader: Reader?
  /// Whether the event loop asked to read while the inbound buffer was full.
  var isReadHeld = false
  /// Until when nothing is read, whatever room there is.
  var pausedUntil: NIODeadline?
  var consumer: Consumer?

  var outbound = ByteBuffer()
  /// Bytes accepted and not yet handed to the kernel.
  var outstanding = 0
  var isFlushScheduled = false
  /// Whether somebody was refused for want of room, and is to be told of it.
  var isRoomWanted = false
  var roomWaiters: [Waiter] = []
  var drainWaiters: [Waiter] = []
  /// Counts completed writes, so that the stall timer sees progress.
  var progress = 0
  var isStallTimerRunning = false

  var isClosing = false
  var isKept = false
  var serving: Task<Void, Never>?
  var end: Result<Void, HTTPTransportError>?
  var closeCallbacks: [@Sendable () -> Void] = []
  var closeWaiters: [Waiter] = []
  var isHandshakeDone = false
  var handshakeWaiters: [Waiter] = []
  var certificateNote: CertificateNote?
  var peerCertificates: [[UInt8]] = []
  var tlsVersion: String?

  /// Everybody who waits for the stream to change, when it has ended for good.
  mutating func takeAllWaiters() -> [Waiter] {
    let all = roomWaiters + drainWaiters + closeWaiters + handshakeWaiters
    roomWaiters = []
    drainWaiters = []
    closeWaiters = []
    handshakeWaiters = []
    return all
  }
}
