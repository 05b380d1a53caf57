// SPDX-License-Identifier: Apache-2.0

public import Addressing
internal import CHost
internal import Glibc

/// A bound UDP socket that sends and receives whole trains of datagrams.
///
/// A train is a run of datagrams of one size (the last may be shorter) to or from one endpoint; the
/// kernel cuts and joins them (UDP_SEGMENT, UDP_GRO). Owned by one thread; nothing here allocates
/// or waits. An IPv6 socket carries IPv6 only: a node opens one of each.
public struct UDPSocket: ~Copyable, Sendable {
  /// What the kernel granted.
  public struct Features: Hashable, Sendable {
    /// Trains leave in one call; switched off when the route's device turns out unable.
    public internal(set) var sendsTrains = false
    /// Datagrams of one flow arrive joined.
    public internal(set) var receivesTrains = false
    /// The traffic class of what arrives is told.
    public internal(set) var tellsTrafficClass = false
    /// The kernel cuts trains wrongly, so none are sent.
    public internal(set) var corruptsTrains = false
    /// Packets carry the mark that was asked for.
    public internal(set) var isMarked = false
    /// Bytes of receive buffer, as the kernel counts them (twice what was asked).
    public internal(set) var receiveBufferSize = 0
    /// Bytes of send buffer, as the kernel counts them.
    public internal(set) var sendBufferSize = 0
  }

  /// What happened that no result tells.
  public struct Counters: Hashable, Sendable {
    /// Trains that the kernel would not cut, sent one datagram at a time instead.
    public internal(set) var trainsRefused: UInt64 = 0
    /// Datagrams or trains larger than the buffer they were received into.
    public internal(set) var truncated: UInt64 = 0
    /// Receive calls that failed for another reason than an empty queue.
    public internal(set) var receiveErrors: UInt64 = 0
  }

  /// The most datagrams that every kernel takes in one train.
  public static let maximumTrainCount = 64
  /// The most bytes in one train.
  public static let maximumTrainBytes = 65_000
  /// The room that a received train may need.
  public static let receiveCapacity = 65_536
  /// The buffer asked of the kernel when nothing else is said, in bytes: 7 MiB.
  public static let defaultBufferSize = 7 << 20
  /// After this many refused trains in a row the socket stops trying.
  static let refusalsMaximum = 16

  let descriptor: Descriptor
  /// The address and port that it is bound to.
  public let localEndpoint: Endpoint
  /// What the kernel granted.
  public internal(set) var features: Features
  /// What happened that no result tells.
  public internal(set) var counters = Counters()
  var refusalsInARow = 0

  /// Opens a non-blocking socket bound to `endpoint`; port 0 lets the kernel choose.
  ///
  /// - Parameters:
  ///   - endpoint: Where to listen; an unspecified address listens on all of its family.
  ///   - mark: A packet mark by which routing rules know our own traffic; zero for none. Without
  ///     the privilege to mark, `features.isMarked` says so.
  ///   - bufferSize: Bytes of buffer to ask for in each direction.
  ///   - kernel: The kernel that runs, whose known faults are avoided.
  ///   - joins: Whether it may share the port of a socket that was told to `share` it.
  /// - Returns: The only owner of the socket.
  /// - Throws: `HostError`, with the port named when it is taken.
  public static func bind(
    _ endpoint: Endpoint,
    mark: UInt32 = 0,
    bufferSize: Int = defaultBufferSize,
    kernel: KernelRelease = .running,
    joins: Bool = false
  ) throws(HostError) -> UDPSocket {
    var local = chost_endpoint(endpoint)
    var granted = chost_udp_features()
    // SAFETY: both structures outlive the call.
    let opened = unsafe chost_udp_open(
      &local,
      Int32(clamping: bufferSize),
      mark,
      joins ? 1 : 0,
      &granted
    )
    let descriptor = Descriptor(
      owning: try check(opened, "bind UDP port \(endpoint)", hint: hint(opened))
    )
    // SAFETY: the structure outlives the call.
    let named = unsafe chost_local_endpoint(descriptor.rawValue, &local)
    try check(named, "read the address of UDP port \(endpoint)")
    return UDPSocket(
      descriptor: descriptor,
      localEndpoint: Endpoint(local),
      features: Features(
        sendsTrains: granted.segmentation_offload != 0 && !kernel.corruptsTrains,
        receivesTrains: granted.receive_offload != 0,
        tellsTrafficClass: granted.traffic_class != 0,
        corruptsTrains: kernel.corruptsTrains,
        isMarked: granted.marked != 0,
        receiveBufferSize: Int(granted.receive_buffer_size),
        sendBufferSize: Int(granted.send_buffer_size)
      )
    )
  }

  private static func hint(_ result: Int32) -> String {
    switch -result {
    case EADDRINUSE: "Another daemon may be running; choose another port, or 0 for any"
    case EACCES: "Ports below 1024 need root"
    case EAFNOSUPPORT, EADDRNOTAVAIL: "The host may have this address family switched off"
    default: ""
    }
  }

  /// The descriptor, for a `Poller`; stays owned by this socket.
  public var rawDescriptor: Int32 { descriptor.rawValue }

  /// How datagrams that exceed the path's MTU are treated.
  public enum Fragmentation: Int32, Sendable {
    /// Never fragmented, whatever path MTU the kernel believes in: for probing the path.
    case never = 0
    /// Fragmented by this host when they exceed the path MTU; the kernel's default.
    case whenNeeded = 1
    /// May be fragmented by any router as well.
    case anywhere = 2
  }

  /// Chooses what happens to datagrams that exceed the path's MTU.
  public func setFragmentation(_ mode: Fragmentation) throws(HostError) {
    let family = Int32(localEndpoint.address.family.rawValue)
    let result = chost_set_fragmentation(descriptor.rawValue, family, mode.rawValue)
    try check(result, "set the fragmentation of UDP port \(localEndpoint.port)")
  }
}

extension chost_endpoint {
  @inline(__always) init(_ endpoint: Endpoint) {
    self.init(
      high: endpoint.address.high,
      low: endpoint.address.low,
      port: endpoint.port,
      family: endpoint.address.family.rawValue
    )
  }
}

extension Endpoint {
  @inline(__always) init(_ endpoint: chost_endpoint) {
    let address =
      endpoint.family == 4
      ? IPAddress(v4: UInt32(truncatingIfNeeded: endpoint.low))
      : IPAddress(high: endpoint.high, low: endpoint.low)
    self.init(address, port: endpoint.port)
  }
}
