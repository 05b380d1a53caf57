// SPDX-License-Identifier: Apache-2.0

import Addressing
import Cryptography
import DERP
import HostIO
import Keys
import Timing

/// A client of a relay that is to be measured: one of many on a thread.
///
/// Keeps no buffers while it has nothing to do, so that thousands fit into one process.
final class LoadClient {
  /// How far it has come.
  enum Phase: Hashable {
    case connecting
    case securing
    case upgrading
    case introducing
    case ready
    case failed
  }

  let index: Int
  let key: NodeKey
  private(set) var phase = Phase.connecting
  /// What kept it from being ready, in words.
  private(set) var failure = ""
  /// Whether it reads what is sent to it.
  var isReading = true
  /// What was received and is not a whole frame yet.
  private var unread: [UInt8] = []
  /// What the kernel did not take yet.
  private(set) var unsent: [UInt8] = []
  private let socket: TCPSocket
  private var tls: TLSSession?
  private let privateKey: NodePrivateKey
  private let host: String

  /// A client that begins to connect.
  init(_ index: Int, to endpoint: Endpoint, _ scratch: LoadScratch) throws {
    var entropy = Entropy.system
    (self.index, host) = (index, endpoint.description)
    privateKey = .generate(using: &entropy)
    key = privateKey.publicKey
    socket = try TCPSocket.connect(to: endpoint)
    socket.tune()
  }

  var rawDescriptor: Int32 { socket.rawDescriptor }

  /// Whether it waits until it can write.
  var mustWrite: Bool { phase == .connecting || !unsent.isEmpty }

  /// Gives up.
  func fail(_ reason: String) {
    guard phase != .failed else { return }
    (phase, failure) = (.failed, reason)
    (unread, unsent) = ([], [])
  }

  // MARK: Writing

  /// The connection can be written to.
  func canWrite(_ scratch: LoadScratch) {
    if phase == .connecting {
      guard socket.error == 0 else { return fail("it cannot connect: \(socket.error)") }
      connected(scratch)
    } else {
      let left = unsent
      unsent = []
      unsafe left.withUnsafeBytes { bytes in unsafe push(bytes) }
    }
  }

  private func connected(_ scratch: LoadScratch) {
    guard let context = scratch.context else { return secured(scratch) }
    phase = .securing
    do {
      tls = try TLSSession(connecting: context, over: scratch.exchange)
      flush(scratch)
    } catch {
      fail("\(error)")
    }
  }

  private func secured(_ scratch: LoadScratch) {
    phase = .upgrading
    let request =
      "GET /derp HTTP/1.1\r\nHost: \(host)\r\nUpgrade: DERP\r\nConnection: Upgrade\r\n\r\n"
    send(Array(request.utf8), scratch)
  }

  /// Sends bytes, in as few pieces as they allow.
  func send(_ bytes: [UInt8], _ scratch: LoadScratch) {
    unsafe bytes.withUnsafeBytes { bytes in unsafe send(bytes, scratch) }
  }

  /// Sends bytes, in as few pieces as they allow.
  func send(_ bytes: UnsafeRawBufferPointer, _ scratch: LoadScratch) {
    guard tls != nil else { return unsafe push(bytes) }
    if unsafe tls?.send(bytes) == true { flush(scratch) } else { fail("TLS refused to send") }
  }

  private func flush(_ scratch: LoadScratch) {
    guard scratch.exchange.outputCount > 0 else { return }
    unsafe scratch.exchange.takeOutput { bytes in unsafe push(bytes) }
  }

  /// Gives bytes to the kernel, and keeps what it does not take.
  private func push(_ bytes: UnsafeRawBufferPointer) {
    guard unsent.isEmpty else { return unsafe unsent.append(contentsOf: bytes) }
    var rest = unsafe bytes
    while unsafe !rest.isEmpty {
      switch unsafe socket.send(rest) {
      case .bytes(let count): unsafe rest = UnsafeRawBufferPointer(rebasing: rest[count...])
      case .wouldWait:
        unsafe unsent = Array(rest)
        return
      case .ended, .failed: return fail("the relay closed the connection")
      }
    }
  }

  // MARK: Reading

  /// Reads what has come; `packet` gets every packet.
  func canRead(_ scratch: LoadScratch, packet: (LoadClient, UnsafeRawBufferPointer) -> Void) {
    guard phase != .connecting, phase != .failed else { return }
    switch unsafe socket.receive(into: scratch.received) {
    case .wouldWait: return
    case .ended, .failed: return fail("the relay closed the connection (\(phase))")
    case .bytes(let count):
      let received = unsafe UnsafeRawBufferPointer(rebasing: scratch.received[..<count])
      guard tls != nil else { return unsafe take(received, scratch, packet) }
      guard let (plain, progress) = unsafe tls?.receive(received, into: scratch.plaintext) else {
        return
      }
      flush(scratch)
      if phase == .securing, tls?.isEstablished == true { secured(scratch) }
      if plain > 0 {
        unsafe take(UnsafeRawBufferPointer(rebasing: scratch.plaintext[..<plain]), scratch, packet)
      }
      if case .failed(let reason) = progress { fail("\(reason)") }
      if case .ended = progress { fail("the relay said goodbye") }
    }
  }

  private func take(
    _ bytes: UnsafeRawBufferPointer,
    _ scratch: LoadScratch,
    _ packet: (LoadClient, UnsafeRawBufferPointer) -> Void
  ) {
    if unread.isEmpty {
      let used = unsafe split(bytes, scratch, packet)
      if used < bytes.count { unsafe unread = Array(bytes[used...]) }
    } else {
      unsafe unread.append(contentsOf: bytes)
      let whole = unread
      let used = unsafe whole.withUnsafeBytes { bytes in unsafe split(bytes, scratch, packet) }
      if used == whole.count { unread = [] } else { unread.removeFirst(used) }
    }
  }

  /// Handles the whole frames in `bytes`; returns how many bytes they took.
  private func split(
    _ bytes: UnsafeRawBufferPointer,
    _ scratch: LoadScratch,
    _ packet: (LoadClient, UnsafeRawBufferPointer) -> Void
  ) -> Int {
    var position = 0
    if phase == .upgrading {
      guard let end = unsafe headerEnd(bytes) else { return 0 }
      guard unsafe bytes.starts(with: Array("HTTP/1.1 101".utf8)) else {
        fail("it is no relay")
        return bytes.count
      }
      (position, phase) = (end, .introducing)
    }
    while bytes.count - position >= Frame.headerSize {
      let length = unsafe Int(
        UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: position + 1, as: UInt32.self))
      )
      let start = position + Frame.headerSize
      guard bytes.count - start >= length else { break }
      let payload = unsafe UnsafeRawBufferPointer(rebasing: bytes[start..<start + length])
      switch unsafe Frame.Kind(rawValue: bytes[position]) {
      case .receivePacket where length >= 32:
        unsafe packet(self, UnsafeRawBufferPointer(rebasing: payload[32...]))
      case .serverKey where length >= 40 && phase == .introducing:
        unsafe introduce(to: Array(payload[8..<40]), scratch)
      case .serverInfo: phase = .ready
      default: break
      }
      position = start + length
    }
    return position
  }

  private func headerEnd(_ bytes: UnsafeRawBufferPointer) -> Int? {
    var position = 4
    while position <= bytes.count {
      // SAFETY: four bytes lie before the position.
      let last = unsafe bytes.loadUnaligned(fromByteOffset: position - 4, as: UInt32.self)
      if UInt32(bigEndian: last) == 0x0D0A_0D0A { return position }
      position += 1
    }
    return nil
  }

  private func introduce(to server: [UInt8], _ scratch: LoadScratch) {
    var entropy = Entropy.system
    let box = NaClBox(privateKey: privateKey.bytes, publicKey: server)
    let sealed = box.seal(ClientInfo().json, using: &entropy)
    send(Frame.clientInfo(key, sealed: sealed).bytes, scratch)
  }
}

/// The buffers that all clients of a thread share.
@safe final class LoadScratch {
  let context: TLSContext?
  let exchange: TLSExchange
  let received = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 * 1024, alignment: 64)
  let plaintext = UnsafeMutableRawBufferPointer.allocate(
    byteCount: 256 * 1024 + TLSSession.margin,
    alignment: 64
  )

  init(context: TLSContext?) throws {
    self.context = context
    exchange = try TLSExchange()
  }

  // SAFETY: nobody keeps the buffers longer than this object.
  deinit {
    unsafe received.deallocate()
    unsafe plaintext.deallocate()
  }
}
