// SPDX-License-Identifier: Apache-2.0

import Addressing
import HostIO
import PortMapping
import Timing

/// The loop of a `PortMapperDriver`: owned by its thread.
final class PortMapperLoop {
  private enum Token {
    static let wake: UInt64 = 1
    static let answers: UInt64 = 2
    static let announcements: UInt64 = 3
  }

  private static let bufferSize = 64 * 1024
  /// Datagrams that are read in one turn.
  private static let turn = 64
  /// Where gateways announce themselves (RFC 6886 §3.2.1); every host is in that group.
  private static let announcementPort: UInt16 = 5350

  private let signal: WakeSignal
  private let mark: UInt32
  private var mapper: PortMapper
  private var poller: Poller
  private var socket: UDPSocket?
  private var announcements: UDPSocket?
  private var effects = PortMapperEffects()
  private var buffer = [UInt8](repeating: 0, count: UDPSocket.receiveCapacity)

  init(_ mapper: PortMapper, mark: UInt32, signal: WakeSignal) throws(HostError) {
    (self.mapper, self.mark, self.signal) = (mapper, mark, signal)
    poller = try Poller()
    try poller.add(signal.rawDescriptor, token: Token.wake)
  }

  /// Runs until it is told to stop, and then as long as the farewell takes.
  func run(
    words: () -> [PortMapperDriver.Word],
    perform: (PortMapperEffects, PortMapperCounters) -> Void,
    request: (PortMapperEffects.Request) -> Void
  ) {
    var isStopping = false
    while !isStopping || !mapper.isAtRest {
      let ready = poller.wait(until: mapper.nextTimeout)
      let now = MonotonicClock.now()
      for index in 0..<ready {
        switch poller[index].token {
        case Token.wake: signal.consume()
        case Token.answers: receiveAnswers(at: now)
        default: receiveAnnouncements(at: now)
        }
      }
      for word in words() {
        switch word {
        case .attach(let attachment, let port): attach(to: attachment, port: port, at: now)
        case .want(let isWanted): mapper.want(isWanted, at: now, into: &effects)
        case .look: mapper.look(at: now, into: &effects)
        case .interest: mapper.takeInterest(at: now, into: &effects)
        case .answer(let document, let id):
          mapper.received(document, for: id, at: now, into: &effects)
        case .stop:
          isStopping = true
          mapper.release(at: now, into: &effects)
        }
      }
      if let timeout = mapper.nextTimeout, timeout <= now {
        mapper.handleTimeouts(at: now, into: &effects)
      }
      send()
      guard !effects.isEmpty else { continue }
      for one in effects.requests { request(one) }
      perform(effects, mapper.counters)
      effects = PortMapperEffects()
    }
    close()
  }

  // MARK: Sockets

  /// The farewell to the old gateway leaves by the old socket.
  private func attach(to attachment: GatewayAttachment?, port: UInt16, at now: Instant) {
    guard attachment != mapper.attachment else {
      return mapper.attach(to: attachment, port: port, at: now, into: &effects)
    }
    mapper.attach(to: nil, port: 0, at: now, into: &effects)
    send()
    close()
    guard let attachment else { return }
    do throws(HostError) {
      let opened = try UDPSocket.bind(
        Endpoint(attachment.own, port: 0),
        mark: mark,
        bufferSize: Self.bufferSize
      )
      try poller.add(opened.rawDescriptor, token: Token.answers)
      socket = consume opened
    } catch {
      // The address has gone again: the next change of the network tells of another.
      return
    }
    listen()
    mapper.attach(to: attachment, port: port, at: now, into: &effects)
  }

  /// Listens to announcements where nobody else does: restarts are noticed without them, too, later.
  private func listen() {
    do throws(HostError) {
      let opened = try UDPSocket.bind(
        Endpoint(IPAddress(224, 0, 0, 1), port: Self.announcementPort),
        mark: mark,
        bufferSize: Self.bufferSize,
        joins: true
      )
      try poller.add(opened.rawDescriptor, token: Token.announcements)
      announcements = consume opened
    } catch {
      announcements = nil
    }
  }

  private func close() {
    // What is closed is waited for no longer, whether the poll set lets go of it or not.
    if let descriptor = socket?.rawDescriptor { try? poller.remove(descriptor) }
    if let descriptor = announcements?.rawDescriptor { try? poller.remove(descriptor) }
    socket = nil
    announcements = nil
  }

  private func send() {
    for send in effects.takeSends() {
      // SAFETY: the bytes outlive the call. A datagram that is not sent is as one that is lost.
      _ = unsafe send.bytes.withUnsafeBytes { bytes in
        unsafe socket?.send(bytes, segmentSize: 0, to: send.destination)
      }
    }
  }

  private func receiveAnswers(at now: Instant) {
    for _ in 0..<Self.turn {
      // SAFETY: the buffer outlives the call.
      let received = unsafe buffer.withUnsafeMutableBytes { unsafe socket?.receive(into: $0) }
      guard let train = received ?? nil else { return }
      for datagram in datagrams(of: train) {
        mapper.receive(datagram, from: train.source, at: now, into: &effects)
      }
    }
  }

  private func receiveAnnouncements(at now: Instant) {
    for _ in 0..<Self.turn {
      // SAFETY: the buffer outlives the call.
      let received = unsafe buffer.withUnsafeMutableBytes {
        unsafe announcements?.receive(into: $0)
      }
      guard let train = received ?? nil else { return }
      for datagram in datagrams(of: train) {
        mapper.receiveAnnouncement(datagram, from: train.source, at: now, into: &effects)
      }
    }
  }

  /// The datagrams that the kernel may have joined.
  private func datagrams(of train: UDPSocket.Received) -> [[UInt8]] {
    stride(from: 0, to: train.count, by: train.segmentSize).map { begin in
      Array(buffer[begin..<min(begin + train.segmentSize, train.count)])
    }
  }
}
