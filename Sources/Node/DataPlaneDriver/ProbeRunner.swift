// SPDX-License-Identifier: Apache-2.0

import Addressing
import DERP
import HTTPTransport
import Magicsock

/// Does for path finding what needs connections or the host's resolver: times HTTPS requests to
/// relays, and looks up their names.
final class ProbeRunner: Sendable {
  private enum Job: Sendable {
    case probe(Magicsock.Effects.HTTPSProbe)
    case resolve(String)
  }

  /// How many jobs may wait; a netcheck has one a region, and gives up on what is late.
  private static let maximumJobs = 256
  private static let path = "/derp/latency-check"

  private let post: PostOffice
  private let mark: UInt32
  private let jobs: AsyncStream<Job>
  private let added: AsyncStream<Job>.Continuation

  init(post: PostOffice, mark: UInt32) {
    (self.post, self.mark) = (post, mark)
    (jobs, added) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(Self.maximumJobs))
  }

  /// Times a request; the answer goes to the data thread.
  func probe(_ probe: Magicsock.Effects.HTTPSProbe) { added.yield(.probe(probe)) }

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
      // A relay that cannot be timed is told as such; why does not matter to the choice of a home.
      let result = try? await time(probe)
      post.post(
        .probed(
          netcheck: probe.netcheck,
          probe.region,
          result?.latency,
          result?.family ?? .v4
        )
      )
    }
  }

  /// Connects, untimed, and times one request.
  private func time(
    _ probe: Magicsock.Effects.HTTPSProbe
  ) async throws -> (latency: Duration, family: IPAddress.Family) {
    let clock = ContinuousClock()
    let stream = try await probe.node.dial(mark: mark, timeout: probe.timeout)
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
