// SPDX-License-Identifier: Apache-2.0

import CHost
import HostIO
import Synchronization

/// A conversation with the kernel about links, addresses, routes and rules.
///
/// One request at a time; the kernel answers within microseconds, so callers wait for it.
struct NetlinkSocket: ~Copyable, Sendable {
  /// How long an answer may take before the kernel counts as silent.
  static let answerMilliseconds: Int32 = 5000
  /// How often a listing is begun again because something changed meanwhile.
  static let dumpAttempts = 5
  static let bufferSize = 1 << 17

  let descriptor: Descriptor
  private let port: OwnPort
  private var sequence: UInt32 = 0
  private var buffer = [UInt8](repeating: 0, count: bufferSize)

  /// A socket that receives the notifications of `groups`, bits by RTNLGRP number less one.
  init(groups: UInt32 = 0) throws(HostError) {
    let operation = "open a netlink socket"
    let opened = Descriptor(owning: try check(chost_netlink_open(groups), operation))
    var port: UInt32 = 0
    // SAFETY: the number is written during the call.
    try check(unsafe chost_netlink_port(opened.rawValue, &port), operation)
    descriptor = opened
    self.port = OwnPort(port)
  }

  /// Sends a request that changes something, and waits until the kernel has done it.
  mutating func perform(_ request: NetlinkRequest) throws(HostError) {
    try send(request)
    while true {
      for message in try receive(request.operation) where message.sequence == sequence {
        guard message.kind == UInt16(NLMSG_ERROR) else { continue }
        return try Self.acknowledged(message, request.operation)
      }
    }
  }

  /// Sends a request that lists something.
  ///
  /// - Returns: The messages of the listing, complete.
  mutating func dump(_ request: NetlinkRequest) throws(HostError) -> [NetlinkMessage] {
    for _ in 0..<Self.dumpAttempts {
      try send(request)
      if let messages = try listing(request.operation) { return messages }
    }
    throw HostError(request.operation, code: EAGAIN, hint: "It changes faster than it is read")
  }

  /// The rest of a listing; nil when it is inconsistent and must be asked again.
  private mutating func listing(_ operation: String) throws(HostError) -> [NetlinkMessage]? {
    var found: [NetlinkMessage] = []
    var isConsistent = true
    while true {
      for message in try receive(operation) where message.sequence == sequence {
        if message.flags & UInt16(NLM_F_DUMP_INTR) != 0 { isConsistent = false }
        switch Int32(message.kind) {
        case NLMSG_DONE: return isConsistent ? found : nil
        case NLMSG_ERROR:
          try Self.acknowledged(message, operation)
          return found
        default: found.append(message)
        }
      }
    }
  }

  private mutating func send(_ request: NetlinkRequest) throws(HostError) {
    sequence &+= 1
    let bytes = request.finished(sequence: sequence)
    // SAFETY: the bytes live through the call.
    let sent = unsafe chost_netlink_send(descriptor.rawValue, bytes, bytes.count)
    try check(sent, request.operation)
  }

  /// The messages of the next datagram.
  mutating func receive(
    _ operation: String,
    milliseconds: Int32 = answerMilliseconds
  ) throws(HostError) -> [NetlinkMessage] {
    // SAFETY: the kernel writes at most as many bytes as the buffer has.
    let count = unsafe chost_netlink_receive(
      descriptor.rawValue,
      &buffer,
      buffer.count,
      milliseconds
    )
    try check(count, operation)
    do {
      return try NetlinkMessage.parse(buffer[..<count])
    } catch {
      throw HostError(operation, code: EBADMSG, hint: "The kernel's answer is malformed: \(error)")
    }
  }

  /// Reads an acknowledgement: zero, or the negated `errno` and often a sentence.
  static func acknowledged(_ message: NetlinkMessage, _ operation: String) throws(HostError) {
    guard message.body.count >= 4 else { throw HostError(operation, code: EBADMSG) }
    let code = Int32(bitPattern: message.body.native(UInt32.self, at: 0))
    guard code != 0 else { return }
    throw HostError(operation, code: code == .min ? EBADMSG : -code, hint: reason(message))
  }

  /// The kernel's own words behind an error.
  private static func reason(_ message: NetlinkMessage) -> String {
    guard message.flags & UInt16(NLM_F_ACK_TLVS) != 0, message.body.count >= 20 else { return "" }
    let echoed =
      message.flags & UInt16(NLM_F_CAPPED) != 0
      ? NetlinkMessage.headerSize : Int(message.body.native(UInt32.self, at: 4))
    guard echoed >= NetlinkMessage.headerSize, 4 + echoed <= message.body.count else { return "" }
    let attributes = try? NetlinkAttribute.parse(message.body.dropFirst(4 + aligned(echoed)))
    // Without attributes there is only the number: that is no error of its own.
    let text = attributes?.first { $0.kind == UInt16(NLMSGERR_ATTR_MSG.rawValue) }?.text
    return text.map { "The kernel says: \($0)" } ?? ""
  }
}

/// The number by which the kernel knows a socket of this process, while the socket is open.
///
/// What changes is told with the number of the socket that asked for it.
struct OwnPort: ~Copyable, Sendable {
  /// How many sockets have a number: in two network namespaces two may have the same.
  private static let open = Mutex<[UInt32: Int]>([:])

  private let number: UInt32

  init(_ number: UInt32) {
    self.number = number
    Self.open.withLock { $0[number, default: 0] += 1 }
  }

  deinit {
    let number = number
    Self.open.withLock { open in
      let left = open[number, default: 1] - 1
      open[number] = left > 0 ? left : nil
    }
  }

  /// Whether this process asked for the change that `message` tells of.
  static func isOwn(_ message: NetlinkMessage) -> Bool {
    message.port != 0 && open.withLock { $0[message.port] != nil }
  }
}
