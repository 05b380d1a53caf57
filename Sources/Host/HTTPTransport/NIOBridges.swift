// SPDX-License-Identifier: Apache-2.0

import Addressing
import Glibc
import NIOCore
import NIOPosix
import NIOSSL

extension Endpoint {
  /// The endpoint of a socket address; nil for a unix path.
  init?(_ address: SocketAddress) {
    guard let port = address.port.flatMap(UInt16.init(exactly:)),
      let text = address.ipAddress,
      // A scope id (`fe80::1%eth0`) is no part of an address here.
      let ip = IPAddress(text.prefix { $0 != "%" })
    else { return nil }
    self.init(ip.unmapped, port: port)
  }

  /// The socket address of this endpoint.
  func socketAddress() throws -> SocketAddress {
    try SocketAddress(ipAddress: address.description, port: Int(port))
  }
}

extension TimeAmount {
  init(_ duration: Duration) {
    let (seconds, attoseconds) = duration.components
    let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    self = .nanoseconds(overflow ? .max : product &+ attoseconds / 1_000_000_000)
  }
}

extension HTTPTransportError {
  /// What a failure of the channel means to a reader.
  init(reading error: any Error) {
    switch error {
    case let error as HTTPTransportError: self = error
    case NIOSSLError.uncleanShutdown:
      self.init(.closed, "the connection was cut without a TLS close")
    case let error as NIOSSLError:
      self.init(.untrusted, "TLS failed: \(error)")
    case let error as NIOSSLExtraError:
      self.init(.untrusted, "TLS failed: \(error)")
    case let error as BoringSSLError:
      self.init(.untrusted, "TLS failed: \(error)")
    case let error as IOError:
      self.init(.closed, "the connection broke: \(error)")
    default: self.init(.closed, "the connection failed: \(error)")
    }
  }
}

extension HTTPTransportError {
  /// Why listening failed.
  init(listening place: String, _ error: any Error) {
    let reason: Reason =
      switch (error as? IOError)?.errnoCode {
      case EADDRINUSE: .inUse
      case EACCES, EPERM: .notPermitted
      default: .system
      }
    let hint =
      switch reason {
      case .inUse: ". Another process has that port: stop that one, or choose another port"
      case .notPermitted: ". Run as root, or choose another place"
      default: ""
      }
    // SAFETY: the text is copied before anybody else may ask for one.
    let why = (error as? IOError).map { unsafe String(cString: strerror($0.errnoCode)) }
    self.init(reason, "cannot listen on \(place): \(why ?? "\(error)")\(hint)")
  }
}

/// The threads that all connections share.
let eventLoops: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton

/// Where options of TCP live that NIO has no names for.
enum TCPOption {
  /// `TCP_USER_TIMEOUT`, in milliseconds.
  static let userTimeout = ChannelOptions.Types.SocketOption(
    level: .tcp,
    name: NIOBSDSocket.Option(rawValue: 18)
  )
  /// `TCP_KEEPIDLE`, in seconds.
  static let keepAliveIdle = ChannelOptions.Types.SocketOption(
    level: .tcp,
    name: NIOBSDSocket.Option(rawValue: 4)
  )
}

/// Where options of IPv6 live that NIO has no names for.
enum IPv6Option {
  /// `IPV6_V6ONLY`: a socket on all of IPv6 does not take IPv4 as well.
  static let only = ChannelOptions.Types.SocketOption(level: .ipv6, name: .ipv6_v6only)
}
