// SPDX-License-Identifier: Apache-2.0

import CNIOBoringSSL

/// Where the sessions of one thread find what was received and leave what is to be sent.
///
/// One for all sessions of a thread: a session that has nothing to do keeps no buffers.
@safe public final class TLSExchange {
  @unsafe struct State {
    var input: UnsafePointer<UInt8>?
    var inputCount = 0
    var output: UnsafeMutablePointer<UInt8>
    var outputCount = 0
    var outputCapacity: Int
  }

  let state: UnsafeMutablePointer<State>
  let channel: OpaquePointer

  /// An exchange whose output grows from `capacity` bytes when it must.
  public init(capacity: Int = 256 * 1024) throws(TLSFailure) {
    guard let method = unsafe TLSChannelMethod.shared.method, let channel = unsafe BIO_new(method)
    else { throw .noted("there is no memory for TLS") }
    unsafe state = .allocate(capacity: 1)
    // SAFETY: freed in `deinit`, as is the output that it leads to.
    unsafe state.initialize(
      to: State(output: .allocate(capacity: capacity), outputCapacity: capacity)
    )
    unsafe self.channel = channel
    // SAFETY: the state lives as long as this object, which every session keeps alive.
    unsafe BIO_set_data(channel, state)
    unsafe BIO_set_init(channel, 1)
  }

  deinit {
    // SAFETY: no session is left: each keeps this object alive.
    unsafe BIO_free(channel)
    unsafe state.pointee.output.deallocate()
    unsafe state.deallocate()
  }

  /// How many bytes are to be sent.
  public var outputCount: Int { unsafe state.pointee.outputCount }

  /// Calls `body` with what is to be sent, and forgets it.
  public func takeOutput<Value>(_ body: (UnsafeRawBufferPointer) -> Value) -> Value {
    // SAFETY: so many bytes were written there; `body` uses no session.
    defer { unsafe state.pointee.outputCount = 0 }
    return unsafe body(
      UnsafeRawBufferPointer(start: state.pointee.output, count: state.pointee.outputCount)
    )
  }

  /// Lets sessions read from `input` while `body` runs.
  func withInput<Value>(_ input: UnsafeRawBufferPointer, _ body: () -> Value) -> Value {
    // SAFETY: the caller's bytes outlive the call, and are forgotten at its end.
    unsafe state.pointee.input = input.baseAddress?.assumingMemoryBound(to: UInt8.self)
    unsafe state.pointee.inputCount = input.count
    defer {
      unsafe state.pointee.input = nil
      unsafe state.pointee.inputCount = 0
    }
    return body()
  }
}

/// How BoringSSL reads and writes: from and to the state that the channel's data points at.
@safe private struct TLSChannelMethod: @unchecked Sendable {
  // SAFETY: not changed after it was made, and never freed.
  let method: OpaquePointer?

  static let shared = TLSChannelMethod()

  private init() {
    let kind = BIO_get_new_index() | BIO_TYPE_SOURCE_SINK
    unsafe method = BIO_meth_new(kind, "exchange")
    unsafe BIO_meth_set_read(method) { unsafe tlsChannelRead($0, $1, $2) }
    unsafe BIO_meth_set_write(method) { unsafe tlsChannelWrite($0, $1, $2) }
    unsafe BIO_meth_set_ctrl(method) { _, command, _, _ in command == BIO_CTRL_FLUSH ? 1 : 0 }
    unsafe BIO_meth_set_create(method) { _ in 1 }
    unsafe BIO_meth_set_destroy(method) { _ in 1 }
  }
}

// SAFETY: of both: the data of the channel is the state of its exchange, which lives longer than the
// channel; lengths are checked against what is there.
private func tlsChannelRead(
  _ channel: OpaquePointer?,
  _ bytes: UnsafeMutablePointer<CChar>?,
  _ count: Int32
) -> Int32 {
  unsafe BIO_clear_retry_flags(channel)
  guard let bytes = unsafe bytes, count > 0,
    let state = unsafe BIO_get_data(channel)?.assumingMemoryBound(to: TLSExchange.State.self)
  else { return 0 }
  let taken = unsafe min(Int(count), state.pointee.inputCount)
  guard taken > 0, let input = unsafe state.pointee.input else {
    unsafe BIO_set_retry_read(channel)
    return -1
  }
  unsafe UnsafeMutableRawPointer(bytes).copyMemory(from: input, byteCount: taken)
  unsafe state.pointee.input = input + taken
  unsafe state.pointee.inputCount -= taken
  return Int32(taken)
}

private func tlsChannelWrite(
  _ channel: OpaquePointer?,
  _ bytes: UnsafePointer<CChar>?,
  _ count: Int32
) -> Int32 {
  unsafe BIO_clear_retry_flags(channel)
  guard let bytes = unsafe bytes, count > 0,
    let state = unsafe BIO_get_data(channel)?.assumingMemoryBound(to: TLSExchange.State.self)
  else { return 0 }
  let needed = unsafe state.pointee.outputCount + Int(count)
  if unsafe needed > state.pointee.outputCapacity {
    let capacity = unsafe max(needed, state.pointee.outputCapacity * 2)
    let larger = UnsafeMutablePointer<UInt8>.allocate(capacity: capacity)
    unsafe larger.update(from: state.pointee.output, count: state.pointee.outputCount)
    unsafe state.pointee.output.deallocate()
    unsafe state.pointee.output = larger
    unsafe state.pointee.outputCapacity = capacity
  }
  unsafe UnsafeMutableRawPointer(state.pointee.output + state.pointee.outputCount)
    .copyMemory(from: bytes, byteCount: Int(count))
  unsafe state.pointee.outputCount = needed
  return count
}
