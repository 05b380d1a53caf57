// SPDX-License-Identifier: Apache-2.0

import Addressing
import DERP
import HTTPTransport
import Keys
import Logging
import Timing

/// Keeps the connections to relays that are needed: the home relay always, others while in use.
actor RelayConnections {
  private struct Entry {
    var link: RelayLink
    var task: Task<Void, Never>
    var probe: Task<Void, Never>?

    func cancel() {
      task.cancel()
      probe?.cancel()
    }
  }

  /// Tells the home relay, from any thread.
  nonisolated let homes: AsyncStream<RegionID?>.Continuation

  private let homeChanges: AsyncStream<RegionID?>
  private let outboxes: RelayOutboxes
  private let post: PostOffice
  private let report: AsyncStream<DataPlaneEvent>.Continuation
  private let logger: Logger
  private let dialer: Dialer
  private var nodeKey: NodePrivateKey
  private var map = RelayMap()
  private var home: RegionID?
  private var isUp = true
  private var isOver = false
  private var entries: [RegionID: Entry] = [:]
  /// Links that are on their way out; their successors wait for them, so that events keep their order.
  private var leaving: [RegionID: Task<Void, Never>] = [:]
  /// How often a region failed lately, where it was not given up for another reason.
  private var backoffs: [RegionID: Backoff] = [:]

  init(
    nodeKey: NodePrivateKey,
    dialer: Dialer,
    outboxes: RelayOutboxes,
    post: PostOffice,
    report: AsyncStream<DataPlaneEvent>.Continuation,
    logger: Logger
  ) {
    (self.nodeKey, self.outboxes, self.post) = (nodeKey, outboxes, post)
    (self.report, self.logger, self.dialer) = (report, logger, dialer)
    // Of several changes that wait only the last matters.
    (homeChanges, homes) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
  }

  /// Connects what is wanted, until cancelled.
  func run(_ wants: AsyncStream<RegionID>) async {
    await withDiscardingTaskGroup { group in
      group.addTask { for await region in wants { await self.want(region) } }
      group.addTask { for await home in self.homeChanges { await self.setHome(home) } }
    }
    await shutdown()
  }

  /// Takes the relays that there are and the key that we are known by.
  func apply(_ map: RelayMap, nodeKey: NodePrivateKey) {
    let isSameKey = nodeKey == self.nodeKey
    let old = self.map
    (self.map, self.nodeKey) = (map, nodeKey)
    if map != old { backoffs = [:] }
    for region in entries.keys where !isSameKey || map.regions[region] != old.regions[region] {
      leave(region)
    }
    if let home { want(home) }
  }

  /// Takes note of another network: what survived it goes on, the rest is connected anew.
  func networkChanged(_ addresses: [IPAddress], isUp: Bool) {
    self.isUp = isUp
    backoffs = [:]
    for (region, entry) in entries {
      entry.probe?.cancel()
      guard isUp else {
        leave(region)
        continue
      }
      entries[region]?.probe = Task { await entry.link.probe(addresses) }
    }
    if let home { want(home) }
  }

  /// Ends all connections and waits until they have ended.
  func shutdown() async {
    isOver = true
    homes.finish()
    for region in entries.keys { leave(region) }
    let ending = leaving.values
    for task in ending { await task.value }
  }

  /// Ends the connection to a region; what waits for it is thrown away.
  private func leave(_ region: RegionID) {
    guard let entry = entries.removeValue(forKey: region) else { return }
    entry.cancel()
    leaving[region] = entry.task
    outboxes.forget(region)
  }

  private func setHome(_ region: RegionID?) async {
    let old = home
    home = region
    guard old != region else { return }
    if let old { await entries[old]?.link.setHome(false) }
    guard let region else { return }
    if let entry = entries[region] { await entry.link.setHome(true) } else { want(region) }
  }

  /// Sees to it that a region is connected, if it exists.
  private func want(_ region: RegionID) {
    guard entries[region] == nil else { return }
    guard isUp, !isOver, let relay = map.regions[region] else {
      return outboxes.forget(region)
    }
    let link = RelayLink(
      relay,
      nodeKey: nodeKey,
      dialer: dialer,
      isHome: region == home,
      backoff: backoffs[region] ?? Backoff(ceiling: .seconds(5)),
      outbox: outboxes.box(of: region),
      post: post,
      report: report,
      logger: logger
    )
    let former = leaving[region]
    let task = Task {
      await former?.value
      await link.run()
      await self.ended(link, region)
    }
    entries[region] = Entry(link: link, task: task)
  }

  private func ended(_ link: RelayLink, _ region: RegionID) async {
    let backoff = await link.backoff
    guard entries[region]?.link === link else { return }
    entries[region] = nil
    backoffs[region] = backoff
    outboxes.forget(region)
    if region == home { want(region) }
  }
}
