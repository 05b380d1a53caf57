// SPDX-License-Identifier: Apache-2.0

public import Addressing
internal import CHost
internal import Glibc

/// What became of a piece of data that was to be sent or received without waiting.
public enum StreamTransfer: Hashable, Sendable {
  /// So many bytes went.
  case bytes(Int)
  /// Nothing can go now.
  case wouldWait
  /// The other side sends no more.
  case ended
  /// The connection broke, with this `errno`.
  case failed(Int32)
}

/// A TCP connection that never waits; closed when it goes away.
public struct TCPSocket: ~Copyable, Sendable {
  private let descriptor: Descriptor

  fileprivate init(_ descriptor: consuming Descriptor) { self.descriptor = descriptor }

  /// The descriptor, for a `Poller`; stays owned by this socket.
  public var rawDescriptor: Int32 { descriptor.rawValue }

  /// Begins to connect: the socket can be written to once it is connected.
  public static func connect(to endpoint: Endpoint) throws(HostError) -> TCPSocket {
    var remote = chost_endpoint(endpoint)
    // SAFETY: the structure outlives the call.
    let opened = unsafe chost_tcp_connect(&remote)
    return TCPSocket(Descriptor(owning: try check(opened, "connect to \(endpoint)")))
  }

  /// Sends small writes at once, asks a silent other side whether it is there after `idleSeconds`,
  /// and gives up when nothing was acknowledged for `userTimeoutMilliseconds`; zero for never.
  public func tune(idleSeconds: Int = 0, userTimeoutMilliseconds: Int = 0) {
    // A connection without them works as well.
    _ = chost_tcp_tune(
      descriptor.rawValue,
      Int32(clamping: idleSeconds),
      Int32(clamping: userTimeoutMilliseconds)
    )
  }

  /// Where the connection begins; nil when it is gone.
  public var localEndpoint: Endpoint? {
    var local = chost_endpoint()
    // SAFETY: the structure outlives the call.
    guard unsafe chost_local_endpoint(descriptor.rawValue, &local) == 0 else { return nil }
    return Endpoint(local)
  }

  /// Why connecting failed; zero when it did not.
  public var error: Int32 { chost_socket_error(descriptor.rawValue) }

  /// Receives what there is, as much as fits.
  public func receive(into buffer: UnsafeMutableRawBufferPointer) -> StreamTransfer {
    // SAFETY: the kernel writes within the buffer.
    let result = unsafe chost_stream_receive(
      descriptor.rawValue,
      buffer.baseAddress,
      buffer.count
    )
    return result == 0 ? .ended : Self.transfer(result)
  }

  /// Sends as much as the kernel takes now.
  public func send(_ bytes: UnsafeRawBufferPointer) -> StreamTransfer {
    // SAFETY: the kernel reads within the buffer.
    Self.transfer(unsafe chost_stream_send(descriptor.rawValue, bytes.baseAddress, bytes.count))
  }

  /// Tells the other side that no more comes.
  public func endSending() { _ = chost_socket_end(descriptor.rawValue) }

  private static func transfer(_ result: Int) -> StreamTransfer {
    if result >= 0 { return .bytes(result) }
    if result == -Int(EAGAIN) { return .wouldWait }
    return .failed(Int32(clamping: -result))
  }
}

/// A TCP port that waits for connections, without waiting itself.
public struct TCPListener: ~Copyable, Sendable {
  /// Connections that may wait to be accepted, where the system allows it.
  public static let backlog = 4096

  private let descriptor: Descriptor
  /// Where it listens, with the port that the system chose.
  public let endpoint: Endpoint

  /// Begins to listen; on IPv6 only where `isV6Only` says so.
  ///
  /// - Throws: `HostError`, with the port named when it is taken.
  public init(on endpoint: Endpoint, isV6Only: Bool) throws(HostError) {
    var local = chost_endpoint(endpoint)
    // SAFETY: the structure outlives both calls.
    let opened = unsafe chost_tcp_listen(&local, isV6Only ? 1 : 0, Int32(Self.backlog))
    let descriptor = Descriptor(owning: try check(opened, "listen on \(endpoint)"))
    let named = unsafe chost_local_endpoint(descriptor.rawValue, &local)
    try check(named, "read the address of TCP port \(endpoint)")
    self.descriptor = descriptor
    self.endpoint = Endpoint(local)
  }

  /// The descriptor, for a `Poller`; stays owned by this listener.
  public var rawDescriptor: Int32 { descriptor.rawValue }

  /// What became of accepting.
  public enum Acceptance: ~Copyable {
    /// A connection, and who it is from.
    case accepted(TCPSocket, Endpoint)
    /// Nobody waits.
    case nobody
    /// The system has no room for more now, or the one that waited is gone.
    case failed(Int32)
  }

  /// Takes the next connection that waits.
  public func accept() -> Acceptance {
    var remote = chost_endpoint()
    // SAFETY: the structure outlives the call.
    let accepted = unsafe chost_tcp_accept(descriptor.rawValue, &remote)
    if accepted >= 0 {
      return .accepted(TCPSocket(Descriptor(owning: accepted)), Endpoint(remote))
    }
    return -accepted == EAGAIN ? .nobody : .failed(-accepted)
  }
}
