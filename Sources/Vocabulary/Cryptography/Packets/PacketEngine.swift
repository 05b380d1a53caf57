// SPDX-License-Identifier: Apache-2.0

import CMultiBuffer

/// Seals and opens trains of packets, by the backend that it was made for.
///
/// Belongs to one thread at a time; every thread that seals has one of its own. A train is worked on in
/// order and where it lies; a packet that does not open is erased and spoils no other. Nothing is
/// allocated.
@safe
public struct PacketEngine: ~Copyable, @unchecked Sendable {
  // SAFETY: owned by this value alone and freed once, in `deinit`.
  private var multiBuffer: OpaquePointer?
  /// What it works with.
  public private(set) var backend: PacketBackend.Name

  /// An engine of a backend, or of BoringSSL should the other one not set itself up.
  public init(_ backend: PacketBackend) {
    unsafe multiBuffer = backend.makeEngine()
    self.backend = unsafe multiBuffer == nil ? .boringSSL : backend.name
  }

  deinit { unsafe cmb_engine_free(multiBuffer) }

  /// Seals every packet of the train in place and writes its tag behind it.
  public mutating func seal(_ train: borrowing PacketTrain, with cipher: borrowing PacketCipher) {
    guard let engine = unsafe multiBuffer else {
      for index in 0..<train.count {
        let packet = unsafe train.packets[index]
        // SAFETY: who filled the train vouches for the bytes and the room behind them.
        unsafe cipher.seal(packet.bytes, count: Int(packet.count), counter: packet.counter)
      }
      return
    }
    // SAFETY: the train's packets are initialised; the key has 32 bytes and outlives the call.
    if unsafe cmb_seal(engine, cipher.key, train.packets, Int32(train.count)) != 0 { abandon() }
  }

  /// Opens every packet of the train in place; the train tells afterwards which are authentic.
  public mutating func open(_ train: inout PacketTrain, with cipher: borrowing PacketCipher) {
    guard let engine = unsafe multiBuffer, !train.hasShortPacket else {
      for index in 0..<train.count {
        let packet = unsafe train.packets[index]
        // SAFETY: who filled the train vouches for the bytes.
        let isOpen = unsafe cipher.open(
          packet.bytes,
          count: Int(packet.count),
          counter: packet.counter
        )
        unsafe train.packets[index].authentic = isOpen ? 1 : 0
      }
      return
    }
    // SAFETY: as in `seal`; every packet has at least its tag.
    if unsafe cmb_open(engine, cipher.key, train.packets, Int32(train.count)) != 0 { abandon() }
  }

  /// Goes on with BoringSSL after the library gave up, whose packets are erased and count as lost.
  private mutating func abandon() {
    unsafe cmb_engine_free(multiBuffer)
    unsafe multiBuffer = nil
    backend = .boringSSL
  }
}

extension PacketTrain {
  /// Whether a packet is too short for a tag.
  fileprivate var hasShortPacket: Bool {
    for index in 0..<count where unsafe packets[index].count < UInt64(PacketCipher.tagCount) {
      return true
    }
    return false
  }
}
