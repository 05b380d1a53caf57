// SPDX-License-Identifier: Apache-2.0

import Addressing
import DERP
import HTTPTransport
import HostIO
import Magicsock

/// Does for path finding what needs connections or the host's resolver: times HTTPS requests and echoes
/// to relays, looks for portals in their place, and looks up their names.
final class ProbeRunner: Sendable {
  private enum Job: Sendable {
    case probe(Magicsock.Effects.HTTPSProbe)
    case portal(Magicsock.Effects.PortalProbe)
    case resolve(String)
  }

  /// How many jobs may wait; a netcheck has one a region, and gives up on what is late.
  private static let maximumJobs = 256
  /// How long an echo is waited for.
  private static let echoTimeout = Duration.seconds(1)
  private static let path = "/derp/latency-check"

  private let post: PostOffice
  private let mark: UInt32
  private let dialer: Dialer
  private let jobs: AsyncStream<Job>
  private let added: AsyncStream<Job>.Continuation

  init(post: PostOffice, mark: UInt32, dialer: Dialer) {
    (self.post, self.mark, self.dialer) = (post, mark, dialer)
    (jobs, added) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(Self.maximumJobs))
  }

  /// Times a request; the answer goes to the data thread.
  func probe(_ probe: Magicsock.Effects.HTTPSProbe) { added.yield(.probe(probe)) }

  /// Looks for a portal; the answer goes to the data thread.
  func lookForPortal(_ probe: Magicsock.Effects.PortalProbe) { added.yield(.portal(probe)) }

  /// Looks up a name; the answer goes to the data thread.
  func resolve(_ name: String) { added.yield(.resolve(name)) }

  /// Does jobs as they come, until cancelled.
  func run() async {
    await withDiscardingTaskGroup { group in
      for await job in jobs {
        group.addTask { await self.perform(job) }
      }
      group.cancelAll()
    }
  }

  private func perform(_ job: Job) async {
    switch job {
    case .resolve(let name):
      post.post(.resolved(name, await NameResolver.addresses(of: name)))
    case .probe(let probe):
      async let echo = echo(of: probe.node)
      // A relay that cannot be timed is told as such; why does not matter to the choice of a home.
      let request = try? await time(probe)
      let icmp = await echo
      let latency = [request?.latency, icmp].compactMap(\.self).min()
      post.post(
        .probed(
          netcheck: probe.netcheck,
          probe.region,
          latency,
          request?.family ?? .v4,
          isByICMP: icmp != nil
        )
      )
    case .portal(let probe):
      let isCaptive = await PortalProbe.isCaptive(probe, mark: mark)
      post.post(.portalProbed(netcheck: probe.netcheck, isCaptive: isCaptive))
    }
  }

  /// How long an ICMP echo takes; nil when none comes back, or the host does not let us send one.
  private func echo(of node: RelayNode) async -> Duration? {
    var address = IPAddress(node.ipv4) ?? IPAddress(node.hostName)
    if address == nil, node.ipv4.isEmpty {
      address = await NameResolver.addresses(of: node.hostName).first(where: \.isV4)
    }
    guard let address, address.isV4 else { return nil }
    return await ICMPEcho.latency(to: address, mark: mark, timeout: Self.echoTimeout)
  }

  /// Connects, untimed, and times one request.
  private func time(
    _ probe: Magicsock.Effects.HTTPSProbe
  ) async throws -> (latency: Duration, family: IPAddress.Family) {
    let clock = ContinuousClock()
    let stream = try await probe.node.dial(dialer, timeout: probe.timeout)
    let family = stream.remoteEndpoint?.address.unmapped.family ?? .v4
    let start = clock.now
    let response = try await HTTPClient.request(
      "GET",
      over: stream,
      host: probe.node.hostField,
      path: Self.path,
      headers: ["Connection": "close"],
      timeout: probe.timeout
    )
    let latency = clock.now - start
    response.body.cancel()
    guard response.status <= 299 else {
      throw HTTPTransportError(.refused(status: response.status), "the relay refused a probe")
    }
    return (latency, family)
  }
}
